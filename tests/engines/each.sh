#!/bin/bash
# Runs each program that is named; fails with the first that does.
for program in "$@"; do
    "$program" || exit 1
done

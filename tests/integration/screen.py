"""The output of a terminal, for tests that type into one."""
import os
import select
import time


class Screen:
    """A terminal's output, read up to one text after the other."""

    def __init__(self, fd):
        self.fd, self.rest = fd, b""

    def until(self, text, seconds=120):
        end = time.monotonic() + seconds
        while text not in self.rest and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.rest += os.read(self.fd, 65536)
                except OSError:
                    break
        at = self.rest.find(text)
        at = len(self.rest) if at < 0 else at + len(text)
        got, self.rest = self.rest[:at], self.rest[at:]
        return got

/* A training run's events for programs: a line of JSON each on standard output.
 *
 *   {"event": "stage", "what"}                      {"event": "note", "text"}
 *   {"event": "data", "valid", "lines", "samples", "tokens", "targets", "bad",
 *    "told": [{"file", "line", "message"}]}         file: as it was named
 *   {"event": "plan", "steps", "batches_epoch", "train", "valid", "memory_bytes", "resumed_step"}
 *   {"event": "step", "step", "steps", "epoch", "loss", "lr", "accuracy", "tokens", "seconds",
 *    "seconds_left"}                                accuracy: of preference pairs
 *   {"event": "valid", "step", "loss", "accuracy", "best"}
 *   {"event": "checkpoint", "step"}                 {"event": "result", "kind", "path"}
 *   {"event": "end", "ok", "code", "message", "cpu_us"}
 *                                                  code: of base/err.h, by name; cpu_us: processor
 *                                                  time of it all; the last line */
#ifndef FT_CLI_TRAIN_REPORT_H
#define FT_CLI_TRAIN_REPORT_H

#include "train/core/train.h"

/* ev gets the report's callbacks. */
void ft_train_report_init(struct ft_train_events *ev);
/* err: of ft_train_run, read if rc is not 0. */
void ft_train_report_end(int rc, const struct ft_err *err);

#endif

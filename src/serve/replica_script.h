/* The scripted double: a replica in this process that says what it was told to say.
 *
 * For tests and for measuring everything around a model. Its script, as in an endpoint's target
 * {"script": {...}}; every member is optional:
 *   text         what it says, over and over, a word a token    "The quick brown fox ..."
 *   tokens       how many tokens, unless max_tokens is less      16
 *   interval_ms  between two; 0: all of them within submit       0
 *   first_ms     before the first                                0
 *   fail_after   breaks before this token (from 0) of a job      never
 *   error        how: "lost" (connection), "internal", "busy", "invalid"      "lost"
 *   resumes      false: like a server without token ids          true
 * Token i of choice c has the id 256 + (i + 7 c) % words and is that word of the text; so an answer
 * that was resumed equals one that was not, or the test sees it. */
#ifndef FT_SERVE_REPLICA_SCRIPT_H
#define FT_SERVE_REPLICA_SCRIPT_H

#include "serve/replica.h"

#define FT_SCRIPT_TEXT_MAX  (64u << 10)
#define FT_SCRIPT_WORDS_MAX 4096
#define FT_SCRIPT_JOBS_MAX  65536 /* waiting for their next token */

/* FT_EINVAL names the member. Its thread is started by the first job that needs a clock. */
int ft_replica_script_open(const json_t *script, struct ft_replica **ret, struct ft_err *err);

#endif

/* What every unit test includes: cmocka and where the reference data lies. */
#ifndef FT_TESTING_H
#define FT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Path of a file of the reference data; NULL where the data is absent (then skip()). Tests run
 * from the project's root; the data lies beside it. The result is a static buffer. */
static inline const char *ft_test_ref(const char *name)
{
    static char path[512];
    const char *root = getenv("FT_REF") != NULL ? getenv("FT_REF") : "../shared/ref";
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (access(path, R_OK) != 0) {
        print_message("[ SKIPPED  ] no reference data: %s\n", path);
        return NULL;
    }
    return path;
}

#endif

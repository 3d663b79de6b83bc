/* GGUF files written as Hugging Face folders: tensors, configuration and tokenizer. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/adapter/merge.h"

static char root[64], folder[80];

static void folder_remove(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(folder);
}

static void root_remove(void)
{
    rmdir(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (root[0] == '\0') {
        strcpy(root, "/tmp/feitian-fuzz-XXXXXX");
        if (mkdtemp(root) == NULL)
            abort();
        snprintf(folder, sizeof folder, "%s/out", root);
        atexit(root_remove);
    }
    char path[64];
    struct ft_weights *w;
    struct ft_err err;
    int fd = memfd_create("gguf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ft_weights_open(path, &w, &err) == 0) {
        struct ft_convert_opts o = {.n_threads = 1};
        bool is_written = ft_merge_folder(w, NULL, &o, 4096, folder, &err) == 0;
        if (is_written != (access(folder, F_OK) == 0)) /* whole or not at all */
            abort();
        folder_remove();
        ft_weights_close(w);
    }
    close(fd);
    return 0;
}

/* A request whose JSON another thread holds too, as serving does, and lets go at any time. */
/* labels: threads */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/responses.h"
#include "serve/piece.h"
#include "testing.h"

#define ROUNDS 100

static const char BODY[] =
    "{\"model\":\"m\",\"instructions\":\"Be "
    "brief.\",\"input\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
    "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]}";

static void *serve(void *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    assert_non_null(strstr(text, "Be brief."));
    free(text);
    ft_json_unref(root);
    return NULL;
}

/* Parts of it belong to the response as well. The thread sanitizer sees whether the last one to go
 * comes after what the other has read. */
static void a_response_and_its_call_end_in_any_order(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct ft_oai_responses q;
        struct ft_oai_error e;
        pthread_t thread;
        ft_oai_error_init(&e);
        assert_int_equal(ft_oai_responses_parse(BODY, strlen(BODY), "req_a", &q, &e), 0);
        assert_int_equal(ft_oai_responses_resolve(&q, NULL, false, &e), 0);
        json_t *root = ft_json_ref(q.chat.root);
        assert_int_equal(pthread_create(&thread, NULL, serve, root), 0);
        if (i % 2 == 0)
            sched_yield();
        ft_oai_responses_fini(&q);
        pthread_join(thread, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_and_its_call_end_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* feitian alert: rules over the cloud's curves, and who is told when one holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"

struct alert_options {
    struct ft_cloud_options cloud;
    const char *name, *series, *endpoint, *project, *bucket, *worker, *severity, *quiet, *zone;
    bool on, off;
    int64_t for_s, repeat_s; /* -1: not given */
    struct ft_opt_many channels;
    const char *above_text, *below_text;
    char **args;
    int n_args;
};

#define NOT_GIVEN                                                                                  \
    {                                                                                              \
        .for_s = -1, .repeat_s = -1                                                                \
    }
#define RULE_OPTIONS(o)                                                                            \
    {"series", 0, FT_OPT_TEXT, &(o).series, 0, 0},                                                 \
        {"above", 0, FT_OPT_TEXT, &(o).above_text, 0, 0},                                          \
        {"below", 0, FT_OPT_TEXT, &(o).below_text, 0, 0},                                          \
        {"for", 0, FT_OPT_WHOLE, &(o).for_s, 0, 86400},                                            \
        {"repeat", 0, FT_OPT_WHOLE, &(o).repeat_s, 0, 2592000},                                    \
        {"severity", 0, FT_OPT_TEXT, &(o).severity, 0, 0},                                         \
        {"endpoint", 0, FT_OPT_TEXT, &(o).endpoint, 0, 0},                                         \
        {"project", 0, FT_OPT_TEXT, &(o).project, 0, 0},                                           \
        {"bucket", 0, FT_OPT_TEXT, &(o).bucket, 0, 0},                                             \
        {"worker", 0, FT_OPT_TEXT, &(o).worker, 0, 0},                                             \
        {"channel", 0, FT_OPT_MANY, &(o).channels, 0, 0},                                          \
        {"quiet", 0, FT_OPT_TEXT, &(o).quiet, 0, 0},                                               \
    {                                                                                              \
        "tz", 0, FT_OPT_TEXT, &(o).zone, 0, 0                                                      \
    }

static int put_threshold(const struct alert_options *o, json_t *body, struct ft_err *err)
{
    const char *text = o->above_text != NULL ? o->above_text : o->below_text;
    char *end;
    if (o->above_text != NULL && o->below_text != NULL)
        return ft_err_set(err, FT_EINVAL, "--above and --below: only one of the two");
    if (text == NULL)
        return 0;
    double v = strtod(text, &end);
    if (end == text || *end != '\0')
        return ft_err_set(err, FT_EINVAL, "--%s: '%s' is no number",
                          o->above_text != NULL ? "above" : "below", text);
    json_object_set_new(body, "op", json_string(o->above_text != NULL ? ">" : "<"));
    json_object_set_new(body, "threshold", json_real(v));
    return 0;
}

/* --quiet 22:00-07:00 --tz ZONE; "none". */
static int put_quiet(const struct alert_options *o, json_t *body, struct ft_err *err)
{
    char from[6], to[6];
    if (o->quiet == NULL)
        return o->zone != NULL ? ft_err_set(err, FT_EINVAL, "--tz: is for --quiet") : 0;
    if (strcmp(o->quiet, "none") == 0) {
        json_object_set_new(body, "quiet", json_null());
        return 0;
    }
    if (sscanf(o->quiet, "%5[0-9:]-%5[0-9:]", from, to) != 2)
        return ft_err_set(err, FT_EINVAL, "--quiet: '%s' is not HH:MM-HH:MM", o->quiet);
    json_t *quiet = json_pack("{s:s,s:s}", "from", from, "to", to);
    if (o->zone != NULL)
        json_object_set_new(quiet, "tz", json_string(o->zone));
    json_object_set_new(body, "quiet", quiet);
    return 0;
}

static void put_labels(const struct alert_options *o, json_t *body)
{
    const struct {
        const char *name, *value;
    } labels[] = {{"endpoint", o->endpoint},
                  {"project", o->project},
                  {"bucket", o->bucket},
                  {"worker", o->worker}};
    json_t *all = json_object();
    for (size_t i = 0; i < FT_COUNT(labels); i++)
        if (labels[i].value != NULL)
            json_object_set_new(all, labels[i].name, json_string(labels[i].value));
    if (json_object_size(all) > 0)
        json_object_set(body, "labels", all);
    json_decref(all);
}

static int put_rule(const struct alert_options *o, json_t *body, struct ft_err *err)
{
    if (o->name != NULL)
        json_object_set_new(body, "name", json_string(o->name));
    if (o->series != NULL)
        json_object_set_new(body, "series", json_string(o->series));
    if (o->severity != NULL)
        json_object_set_new(body, "severity", json_string(o->severity));
    if (o->for_s >= 0)
        json_object_set_new(body, "for_s", json_integer(o->for_s));
    if (o->repeat_s >= 0)
        json_object_set_new(body, "repeat_s", json_integer(o->repeat_s));
    if (o->on || o->off)
        json_object_set_new(body, "enabled", json_boolean(o->on));
    put_labels(o, body);
    if (o->channels.n > 0) {
        json_t *list = json_array();
        for (int i = 0; i < o->channels.n; i++)
            if (strcmp(o->channels.value[i], "none") != 0)
                json_array_append_new(list, json_string(o->channels.value[i]));
        json_object_set_new(body, "channels", list);
    }
    int rc = put_threshold(o, body, err);
    return rc == 0 ? put_quiet(o, body, err) : rc;
}

static const char *condition(const json_t *a, char *ret, size_t n)
{
    const char *label = "";
    json_t *value = NULL;
    json_object_foreach(json_object_get(a, "labels"), label, value)
    {
        break; /* there is one at most */
    }
    const char *of = json_string_value(value);
    bool each = of != NULL && strcmp(of, "*") == 0;
    snprintf(ret, n, "%s%s%s %s %g", ft_cloud_text(a, "series", "?"),
             of == NULL ? ""
             : each     ? " of each "
                        : " of ",
             of == NULL ? ""
             : each     ? label
                        : of,
             ft_cloud_text(a, "op", "?"), json_number_value(json_object_get(a, "threshold")));
    return ret;
}

static int send(struct ft_cloud *c, const struct alert_options *o, const char *method,
                const char *id, const char *done, struct ft_err *err)
{
    struct ft_buf path;
    char text[512];
    json_t *answer, *body = json_object();
    int rc = put_rule(o, body, err);
    if (rc == 0 && json_object_size(body) == 0)
        rc = ft_err_set(err, FT_EINVAL, "nothing to change is given");
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    ft_buf_init(&path, 4096);
    ft_buf_add_str(&path, id != NULL ? "/api/v1/alerts/" : "/api/v1/alerts");
    if (id != NULL)
        ft_cloud_escape(&path, id);
    rc = ft_cloud_call(c, method, path.data, body, &answer, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(answer);
        return 0;
    }
    printf("%s %s: %s\n", ft_cloud_text(answer, "id", "?"), done,
           condition(answer, text, sizeof text));
    json_decref(answer);
    return 0;
}

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct alert_options *o = ctx;
    if (o->series == NULL)
        return ft_err_set(err, FT_EINVAL,
                          "--series is missing: the curve that is watched, such as error_ratio");
    if (o->above_text == NULL && o->below_text == NULL)
        return ft_err_set(err, FT_EINVAL,
                          "--above or --below is missing: the limit that the curve crosses");
    return send(c, o, "POST", NULL, "created", err);
}

static int alert_create(int argc, char **argv)
{
    struct alert_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud), RULE_OPTIONS(o)};
    int rc = ft_opts_parse("alert create", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a name: feitian alert create NAME --series S --above X", &o.args);
    if (rc != 0)
        return rc;
    o.name = o.args[0];
    return ft_cloud_command("alert create", &o.cloud, create, &o);
}

static int set(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct alert_options *o = ctx;
    return send(c, o, "PATCH", o->args[0], "changed", err);
}

static int alert_set(int argc, char **argv)
{
    struct alert_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  RULE_OPTIONS(o),
                                  {"name", 0, FT_OPT_TEXT, &o.name, 0, 0},
                                  {"on", 0, FT_OPT_FLAG, &o.on, 0, 0},
                                  {"off", 0, FT_OPT_FLAG, &o.off, 0, 0}};
    int rc = ft_opts_parse("alert set", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the alert's id, which 'feitian alert list' says", &o.args);
    return rc != 0 ? rc : ft_cloud_command("alert set", &o.cloud, set, &o);
}

static void row(struct ft_table *t, const json_t *a)
{
    char text[512], when[FT_SHOW_TIME_BYTES];
    const json_t *value = json_object_get(a, "value"), *channels = json_object_get(a, "channels");
    bool off = json_is_false(json_object_get(a, "enabled"));
    ft_table_add(t, ft_cloud_text(a, "id", ""));
    ft_table_add(t, ft_cloud_text(a, "name", ""));
    ft_table_add(t, off ? "off" : ft_cloud_text(a, "state", ""));
    ft_table_add(t, off ? "-" : ft_show_time(json_object_get(a, "since"), when));
    if (json_is_number(value) && !off)
        ft_table_addf(t, "%.4g", json_number_value(value));
    else
        ft_table_add(t, "-");
    ft_table_add(t, condition(a, text, sizeof text));
    ft_table_addf(t, "%d s", (int)json_integer_value(json_object_get(a, "for_s")));
    ft_table_add(t, ft_cloud_text(a, "severity", ""));
    ft_table_add(t, json_array_size(channels) > 0 ? ft_show_words(channels, text, sizeof text)
                                                  : "nobody");
}

static int alert_list(int argc, char **argv)
{
    static const char *const heads[] = {"ID",   "NAME", "STATE",    "SINCE", ">VALUE",
                                        "WHEN", ">FOR", "SEVERITY", "TELLS"};
    static const struct ft_show_list l = {.path = "/api/v1/alerts",
                                          .none = "there are no alerts",
                                          .heads = heads,
                                          .n_heads = FT_COUNT(heads),
                                          .row = row};
    return ft_show_list_plain("alert list", &l, argc, argv);
}

static int alert_rm(int argc, char **argv)
{
    static const struct ft_show_removal r = {"alert rm", "/api/v1/alerts/", "the alert's id",
                                             "removed"};
    return ft_show_remove(&r, argc, argv);
}

const struct ft_cmd ft_cmd_alert_subs[] = {
    {"create",
     "NAME --series S --above X|--below X [--for S] [--severity info|warning|critical]\n"
     "       [--endpoint E|--project P|--bucket B|--worker W] [--channel ID ...]\n"
     "       [--repeat S] [--quiet HH:MM-HH:MM [--tz ZONE]]",
     "a rule over one of the cloud's curves", alert_create, 0, NULL},
    {"list", "[--json]", "the alerts there are, and how they stand", alert_list, 0, NULL},
    {"set", "ID [--on|--off] [--channel ID ...] [OPTION ...]",
     "change one: who is told, its threshold, when it is quiet", alert_set, 0, NULL},
    {"rm", "ID ...", "take alerts away", alert_rm, 0, NULL},
    {0},
};

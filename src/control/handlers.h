/* Handlers of control's routes, and what they share. Included by inner.h. */
#ifndef FT_CONTROL_HANDLERS_H
#define FT_CONTROL_HANDLERS_H

ft_ctl_handler ft_ctl_projects_list, ft_ctl_projects_create, ft_ctl_projects_get,
    ft_ctl_projects_patch, ft_ctl_projects_delete, ft_ctl_members_list, ft_ctl_members_create,
    ft_ctl_members_get, ft_ctl_members_patch, ft_ctl_members_delete; /* projects.c */
ft_ctl_handler ft_ctl_keys_list, ft_ctl_keys_create, ft_ctl_keys_get, ft_ctl_keys_patch,
    ft_ctl_keys_delete, ft_ctl_me, ft_ctl_session_get;
ft_ctl_handler ft_ctl_prices_list, ft_ctl_prices_create, ft_ctl_prices_get, ft_ctl_prices_patch,
    ft_ctl_prices_delete, ft_ctl_settings_get, ft_ctl_settings_patch; /* catalog.c */
/* ---- models of the hub (hub.c) ---- */

bool ft_ctl_is_hub(const char *name); /* "ORG/NAME@REV", perhaps ":FILE" */
/* Outside of the store: makes it local. *ret: a new row with its name, path and what it is. */
int ft_ctl_hub_fetch(struct ft_ctl_call *c, const char *param, const char *asked, bool adapter,
                     json_t **ret);
void ft_ctl_endpoints_prepare(struct ft_ctl_call *c);
/* Why the repository "ORG/NAME" that the endpoint asks for is no model; NULL: nothing is known. */
const char *ft_ctl_hub_why(const struct ft_ctl_call *c, const char *asked);
/* In the handler: rows of what a target names of the hub, and their names in its place. */
int ft_ctl_hub_take(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *target,
                    struct ft_err *err);
/* Removes a folder that was made local, unless a model's row names what is in it. */
void ft_ctl_hub_clear(struct ft_ctl *ctl, const char *folder);
/* What lies at a path within the cloud's folders (models.c): a new row with path and bytes.
 * *ret_none: refused since it is no model, which is so whoever looks; else perhaps not another
 * time.
 */
int ft_ctl_model_look(struct ft_ctl_call *c, const char *path, bool adapter, bool *ret_none,
                      json_t **ret);

ft_ctl_handler ft_ctl_models_list, ft_ctl_models_create, ft_ctl_models_get,
    ft_ctl_models_delete; /* models.c */
void ft_ctl_models_inspect(struct ft_ctl_call *c);
ft_ctl_handler ft_ctl_endpoints_list, ft_ctl_endpoints_create, ft_ctl_endpoints_get,
    ft_ctl_endpoints_patch, ft_ctl_endpoints_delete; /* endpoints.c */
/* A new endpoint of a project, of one adapter of a model. */
json_t *ft_ctl_endpoint_body(const char *name, const char *project, const char *model,
                             const char *adapter, int64_t now_s);
/* A name's parts between '/' are none that paths treat in their own way. */
int ft_ctl_check_name(struct ft_ctl_call *c, const char *name);
ft_ctl_handler ft_ctl_audit_list, ft_ctl_feed, ft_ctl_openapi_get; /* events.c */
ft_ctl_handler ft_ctl_usage_get, ft_ctl_usage_records, ft_ctl_usage_take,
    ft_ctl_spend;                                         /* usage.c */
ft_ctl_handler ft_ctl_history_get, ft_ctl_history_series; /* history.c */
ft_ctl_handler ft_ctl_alerts_list, ft_ctl_alerts_create, ft_ctl_alerts_get, ft_ctl_alerts_patch,
    ft_ctl_alerts_delete, ft_ctl_channels_list, ft_ctl_channels_create, ft_ctl_channels_get,
    ft_ctl_channels_patch, ft_ctl_channels_delete, ft_ctl_channels_test; /* alerts.c */
void ft_ctl_channels_try(struct ft_ctl_call *c);
ft_ctl_handler ft_ctl_requests; /* requests.c */
ft_ctl_handler ft_ctl_org_completions, ft_ctl_org_embeddings, ft_ctl_org_costs;
ft_ctl_handler ft_ctl_responses_put, ft_ctl_responses_get,
    ft_ctl_responses_delete; /* responses.c */
/* All of a project's. */
int ft_ctl_responses_forget(struct ft_state_tx *tx, const char *project, struct ft_err *err);

#endif

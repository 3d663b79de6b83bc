/* What the options of the cloud's commands mean; see cli/help.c. */
#include <string.h>

#include "cli/cli.h"

#define HOME_TEXT "  --home DIR              the cloud's folder [FEITIAN_HOME, else ~/.feitian]\n"

/* Of every command that calls a cloud. */
#define CLOUD_TEXT                                                                                 \
    "\n"                                                                                           \
    "which cloud\n"                                                                                \
    "  --cloud URL             its address [FEITIAN_URL, else what credentials.json says]\n"       \
    "  --api-key KEY           [FEITIAN_API_KEY, else the key in credentials.json]\n"              \
    "  --ca FILE               the certificates that it is trusted by, as PEM [FEITIAN_CA, else\n" \
    "                          the system's, for the own cloud its own]\n" HOME_TEXT               \
    "  --json                  JSON instead of a table\n"

#define TERMS_TEXT                                                                                 \
    "  --rpm N                 requests a minute at most; 'none' for no limit\n"                   \
    "  --tpm N                 tokens a minute at most\n"                                          \
    "  --concurrency N         calls at a time at most\n"                                          \
    "  --budget-day AMOUNT     what may be spent in a day (UTC), such as 2.50; 'none'\n"           \
    "  --budget-month AMOUNT   the same for a month\n"                                             \
    "  --warn PARTS            of a budget, at which a warning is logged, such as 0.5,0.8\n"

static const char up_text[] =
    "Starts the processes of a cloud, and waits until it can be used. Without --foreground they "
    "go\n"
    "on in the background, and write into logs/ of its folder. Where one runs already, says so.\n"
    "All but the last six can stand in config.json of its folder, as {\"listen\": \"...\"}.\n"
    "\n"
    "  --listen HOST:PORT      where clients reach it [as last time, else 127.0.0.1:7700]\n"
    "  --tls-self-signed       HTTPS with a certificate that it makes itself, in tls/\n"
    "  --tls-cert FILE, --tls-key FILE\n"
    "                          HTTPS with these (PEM)\n"
    "  --memory SIZE           for models and their caches, such as 4G; 64M at least [3/4 of the\n"
    "                          machine's]\n"
    "  --threads N             that compute [one per core]\n"
    "  --kv f16|f32|q8         precision of the KV cache [f16]\n"
    "  --storage WHERE         where objects are kept: a folder, or s3://HOST:PORT (s3+http:// "
    "without\n"
    "                          TLS), whose keys are in storage.json of the cloud's folder [its "
    "blob]\n"
    "  --s3-domain NAME        buckets are reached as BUCKET.NAME, too [s3.localhost]\n"
    "  --s3-day SECONDS        of lifecycle rules, for tests [86400]\n"
    "  --http-threads N        of the gateway [2]\n"
    "  --otlp URL              traces to this OpenTelemetry collector: http://HOST:4318\n"
    "  --otlp-ratio PART       of requests that bring no trace of their own, 0 to 1 [1]\n"
    "  --log-format text|json  lines of its logs [text]\n"
    "  --log-level LEVEL       error, warn, info or debug [info]\n"
    "  --log-requests          a line for every request\n"
    "  --wait S                how long to wait until it is ready [30]\n"
    "  --foreground            stay, and log to standard error: for systemd and containers\n"
    "  --daemon                go into the background; this is what happens anyway\n" HOME_TEXT
    "  --config FILE           in the place of config.json of its folder\n"
    "  --json                  say where it is as JSON\n";

static const char down_text[] =
    "Calls that run may end; then everything is stopped, and killed if it must be.\n"
    "\n" HOME_TEXT "  --timeout S             how long to wait for that [30]\n"
    "  --force                 do not wait for running calls\n"
    "  --json                  say as JSON what was stopped\n";

static const char backup_text[] =
    "DEST is a folder that is not there yet, a file NAME.tar, or - for a tar on standard output. "
    "All\n"
    "is in it that the cloud needs to be as it was: state, usage (also what is not delivered "
    "yet),\n"
    "objects with their versions, keys and secrets, settings, models, adapters. Objects that "
    "another\n"
    "S3 server keeps stay there. The cloud goes on meanwhile; what was acknowledged before it "
    "began\n"
    "is in it. It appears whole or not at all.\n"
    "\n"
    "  --earlier FOLDER        files that have not changed since this backup are shared with it, "
    "by\n"
    "                          hard links, and not read again: both must be folders of one "
    "disk\n"
    "  --no-models             leave out models/, which may be large and be had elsewhere\n"
    "  --verify                read a backup against its checksums: exits with 0 if it is "
    "whole\n" HOME_TEXT "  --json                  say as JSON what was done\n"
    "\n"
    "examples\n"
    "  feitian backup /mnt/backup/monday\n"
    "  feitian backup /mnt/backup/tuesday --earlier /mnt/backup/monday\n"
    "  feitian backup - | zstd | ssh other 'cat > cloud.tar.zst'\n"
    "  feitian backup --verify /mnt/backup/monday\n";

static const char restore_text[] =
    "SRC is a backup: a folder, a tar (compressed or not), or - for one on standard input. Every "
    "byte\n"
    "is checked while it is read, and a backup that is not whole leaves nothing behind. The "
    "folder\n"
    "must be empty or not there. Then 'feitian up' goes on where the backup was made.\n"
    "\n" HOME_TEXT "  --json                  say as JSON what was done\n";

#define ALL_TEXT "  --all                   checkpoints of trainings, too\n"

static const char status_text[] =
    "Exits with 0 if it runs and answers, else with 1.\n\n" ALL_TEXT CLOUD_TEXT;

static const char top_text[] =
    "On a terminal, drawn anew until q is pressed; elsewhere printed once.\n"
    "\n"
    "  --interval S            between two looks [2]\n"
    "  --once                  print it once\n" ALL_TEXT CLOUD_TEXT;

static const char doctor_text[] =
    "Looks at processor, memory, disk, limits, isolation, the port, the cloud's folder, its state\n"
    "store and its models, and changes nothing. Exits with 1 if something must be mended.\n"
    "\n" HOME_TEXT
    "  --machine               the machine and the folder alone, not the cloud that runs\n"
    "  --request ID            explains one request instead, as 'feitian explain ID'\n"
    "  --json                  the findings as JSON\n";

static const char chat_text[] =
    "MODEL is the name of an endpoint [that of the newest model that can chat; no checkpoint, and\n"
    "what was fine-tuned or is another server's only where there is nothing else]. Without -p, "
    "and\n"
    "with a terminal, a conversation; otherwise the prompt is standard input.\n"
    "\n"
    "  -p, --prompt TEXT       the question; - reads it from standard input\n"
    "  --system TEXT           the system message\n"
    "  --thinking on|off       for models that can do both\n"
    "  --temperature T         0: always the likeliest token\n"
    "  --top-p P               the likeliest tokens that make up P\n"
    "  --max-tokens N          where the answer is cut\n"
    "  --seed N                the same seed gives the same answer\n"
    "  --quiet                 no figures at the end, nor the name of the model that was "
    "chosen\n" CLOUD_TEXT;

static const char usage_text[] =
    "  --by WHAT               one row for each model, project, key, route, status, hour or day;\n"
    "                          may be given several times\n"
    "  --since WHEN            24h, 7d, or a date [30d]\n"
    "  --project ID, --key ID, --model NAME\n"
    "                          of this one alone\n" CLOUD_TEXT;

static const char explain_text[] =
    "ID is the x-request-id of an answer. Says in words what the request waited for, why it was\n"
    "refused, and shows its course. Without ID: the latest requests, running ones first.\n"
    "\n"
    "  --status STATUS         ok, cancelled, error, refused, lost, running, or HTTP's: 429\n"
    "  --min-ms N              that took so long at least\n"
    "  --model NAME, --project ID\n"
    "                          of this one alone\n"
    "  --batch ID              the lines of this batch\n"
    "  --all                   also those of the admin API, and what pages of the console asked "
    "for\n"
    "  --limit N               how many [20]\n"
    "  --after ID              those before this one: the list says where it goes on\n" CLOUD_TEXT;

static const char support_text[] =
    "Writes FILE (feitian-support-DATE.tar.gz): version, what doctor finds, status, options, the "
    "ends\n"
    "of the logs, metrics, slow and failed requests without what was said in them. Keys, passwords "
    "and\n"
    "certificates are left out. Works with a cloud that is down, too.\n"
    "\n" HOME_TEXT;

static const char model_add_text[] =
    "Downloads go on where they were broken off, and are checked against the hub's hashes. A path "
    "on\n"
    "this machine is linked where the file system allows it, else copied. FILE is a file's name or "
    "a\n"
    "part of it, such as Q8_0; without it, of several GGUF files, Q4_K_M if it is there.\n"
    "\n"
    "  --name NAME             [as the file or the repository]\n"
    "  --adapter-of MODEL      it is a LoRA adapter (a PEFT folder) for this model\n"
    "  --project ID            which may call it [as of the key]\n"
    "  --no-endpoint           give it no name for clients yet\n"
    "\n"
    "environment\n"
    "  HF_ENDPOINT, HF_TOKEN   Hugging Face, or a server that speaks like it\n"
    "  MODELSCOPE_ENDPOINT, MODELSCOPE_API_TOKEN\n"
    "                          ModelScope\n"
    "  HTTPS_PROXY, NO_PROXY   as of curl\n" CLOUD_TEXT;

static const char model_rm_text[] =
    "The endpoint that came with it goes too, and the checkpoints of a fine-tuned one.\n"
    "\n"
    "  --keep-file             the files stay in models/ of the cloud's folder\n" CLOUD_TEXT;

#define SCALE_TEXT                                                                                 \
    "  --min N, --max N        replicas; with --min 0 none is kept without calls\n"                \
    "  --load N                calls at a time per replica, before another is started\n"           \
    "  --idle S                seconds without calls until the last replica goes (--min 0)\n"      \
    "  --ctx N                 tokens of a call at most\n"

#define TARGET_TEXT                                                                                \
    "  --model M               the model [as the endpoint's name]\n"                               \
    "  --adapter A             through this adapter of it\n"                                       \
    "  --to M[+A][=WEIGHT]     one of several versions; calls go to them by their weights\n"       \
    "  --url URL               another server with OpenAI's API, such as https://host/v1;\n"       \
    "                          --model is what it calls the model\n"                               \
    "  --key KEY, --key-file FILE\n"                                                               \
    "                          the key for that server\n"                                          \
    "  --at-once N             calls to that server at a time\n"

static const char endpoint_create_text[] =
    TARGET_TEXT SCALE_TEXT "  --project ID            which alone may call it; all: every project "
                           "[as of the key]\n" CLOUD_TEXT;

static const char endpoint_scale_text[] = SCALE_TEXT CLOUD_TEXT;

static const char endpoint_set_text[] = TARGET_TEXT SCALE_TEXT CLOUD_TEXT;

static const char endpoint_list_text[] =
    "  --project ID            those that this one may call\n" ALL_TEXT CLOUD_TEXT;

static const char model_list_text[] = ALL_TEXT CLOUD_TEXT;

static const char key_create_text[] =
    "The key is shown once, alone on standard output.\n"
    "\n"
    "  --project ID            [the one of the key that makes it]\n"
    "  --member ID             whose it is [nobody's]\n"
    "  --role ROLE             admin, developer, viewer; operator: the whole cloud [developer]\n"
    "  --model GLOB            models it may call, such as 'qwen*'; may be given several times "
    "[all]\n"
    "  --action NAME           what it may do: chat, completions, embeddings, rerank, models, "
    "usage,\n"
    "                          objects.read, objects.write, hub.read, hub.write, files, batches,\n"
    "                          fine_tuning, manage, metrics; may be given several times [all]\n"
    "  --expires WHEN          30d, 12h, or a date [never]\n" TERMS_TEXT CLOUD_TEXT;

static const char key_list_text[] = "  --project ID            of this one alone\n" CLOUD_TEXT;

static const char hub_text[] = "ORG is a project's id; without it, the project of the key.\n"
                               "\n"
                               "  --dataset               a dataset, not a model\n" CLOUD_TEXT;

static const char hub_push_text[] =
    "PATH is a file or a folder, which becomes the repository's content beside what it has.\n"
    "The repository is made where it is not there. ORG is a project's id; without it, the project\n"
    "of the key. What the cloud has already is not sent again. Afterwards:\n"
    "  feitian endpoint create NAME --model ORG/NAME@main\n"
    "\n"
    "  --to FOLDER             in the repository [its top]\n"
    "  --message TEXT          of the commit\n"
    "  --delete                what the folder does not have goes\n"
    "  --private               a new repository is for its project alone [every project reads it]\n"
    "  --dataset               a dataset, not a model\n" CLOUD_TEXT;

static const char hub_tag_text[] =
    "Gives a revision (a branch, tag or commit; main) a name that stays.\n"
    "\n"
    "  --branch                a branch instead of a tag\n"
    "  --delete                removes it\n"
    "  --dataset               of a dataset, not a model\n" CLOUD_TEXT;

static const char files_ls_text[] = "  --purpose P             of one purpose alone: batch, "
                                    "batch_output, fine-tune, ...\n" CLOUD_TEXT;

static const char files_put_text[] =
    "  --purpose P             batch, fine-tune, user_data, assistants, evals, vision [user_data]\n"
    "                          of batch and fine-tune every line is checked\n" CLOUD_TEXT;

static const char files_get_text[] =
    "  -o, --output PATH       where to; - is standard output [the file's name, here]\n" CLOUD_TEXT;

static const char batch_create_text[] =
    "FILE is JSONL, a request a line: {\"custom_id\",\"method\":\"POST\",\"url\",\"body\"}. It is\n"
    "uploaded; file-... names one that the cloud has.\n"
    "\n"
    "  --endpoint PATH         where all of them go [the first line's url]\n"
    "  --window TIME           what is not done then expires: 24h, 30m, 7d [24h]\n"
    "  --wait                  until it has ended\n" CLOUD_TEXT;

static const char batch_show_text[] = "  --wait                  until it has ended\n" CLOUD_TEXT;

static const char batch_results_text[] =
    "A line each, in the order in which they were done: see custom_id.\n"
    "\n"
    "  -o, --output PATH       where to [standard output]\n"
    "  --errors                of the requests that failed\n" CLOUD_TEXT;

static const char cp_text[] =
    "FROM and TO are paths of this machine or objects, s3://BUCKET/KEY; one of the two is an "
    "object.\n"
    "Large files go in parts, many at a time. What was broken off goes on with the same command.\n"
    "In place of a path, - is standard input or output.\n"
    "\n"
    "  -r, --recursive         folders, and all objects below a prefix\n"
    "  --fresh                 from the start, whatever was moved before\n"
    "  --at-once N             parts and files at a time [8]\n"
    "  --quiet                 no bar, no sum\n" CLOUD_TEXT;

static const char ls_text[] =
    "  -r, --recursive         all objects below the prefix, not one level\n" CLOUD_TEXT;

static const char rm_text[] =
    "  -r, --recursive         all objects below the prefix; of a bucket, it too\n"
    "  --versions              with all their versions: nothing of them is kept\n" CLOUD_TEXT;

static const char presign_text[] =
    "  --expires WHEN          30m, 12h, or a date, at most 7 days from now [1h]\n"
    "  --put                   to upload with, not to fetch\n" CLOUD_TEXT;

static const char tune_create_text[] =
    "FILE is JSONL: a conversation a line, whose assistant's turns are learnt, or with --dpo pairs "
    "of\n"
    "a better and a worse answer. It is uploaded; file-... names one that the cloud has.\n"
    "\n"
    "  --valid FILE            the same, to watch how well it does\n"
    "  --suffix NAME           for the name of the result: ft:MODEL:PROJECT:NAME:...\n"
    "  --epochs N              times through the data [3]\n"
    "  --batch N               examples of one step [4]\n"
    "  --lr-multiplier X       how far each step goes, times the usual [1]\n"
    "  --dpo, --beta X         preferences, and how hard to hold to the model [0.1]\n"
    "  --seed N                the same seed gives the same weights\n"
    "  --wait                  until it has ended\n" CLOUD_TEXT;

static const char tune_show_text[] = "  --wait                  until it has ended\n" CLOUD_TEXT;

#define STORAGE_TEXT                                                                               \
    "  --storage WHERE         another store: a folder [that of the cloud]\n"                      \
    "  --home DIR              folder of the cloud [FEITIAN_HOME, ~/.feitian]\n"                   \
    "  --json                  as JSON, for programs\n"

static const char blob_check_text[] =
    "Every byte is read and held against its checksum, the index against the files. Of a cloud\n"
    "that runs its gateway does it. Ends with 1 if anything is wrong, which is listed.\n"
    "\n"
    "  --rate BYTES            a second at most [as fast as it goes]\n" STORAGE_TEXT;

static const char blob_scrub_text[] =
    "As blob check, slowly. A cloud that runs does so by itself, once a week.\n"
    "\n"
    "  --rate BYTES            a second at most [8M]\n" STORAGE_TEXT;

static const char blob_usage_text[] =
    "What each project keeps: its buckets and files. The hub keeps equal content once for all\n"
    "projects, so it is one line (in JSON the project \"\"); a repository's own size is in hub "
    "ls.\n"
    "\n" STORAGE_TEXT;

static const char key_s3_text[] =
    "Prints what AWS's clients read from the environment: eval \"$(feitian key s3)\".\n"
    "\n" CLOUD_TEXT;

static const char project_create_text[] =
    "  --id ID                 what it is called in options and reports [drawn]\n"
    "  --weight W              its share where calls wait: twice the weight, twice the share [1]\n"
    "  --queue N               calls that may wait\n"
    "  --storage BYTES         what its objects and files may take, such as 500G; none\n" TERMS_TEXT
        CLOUD_TEXT;

static const char project_set_text[] =
    "  --name NAME             another name\n"
    "  --log-prompts on|off    keep what is said in its requests, for its admins ('explain ID "
    "--json')\n"
    "  --weight W              its share where calls wait\n"
    "  --queue N               calls that may wait\n"
    "  --storage BYTES         what its objects and files may take, such as 500G; none\n" TERMS_TEXT
        CLOUD_TEXT;

static const char project_rm_text[] =
    "Removes projects. Their buckets, files and repositories go too, in the background.\n"
    "\n"
    "  --cascade               also with members, keys, endpoints, models and jobs\n" CLOUD_TEXT;

static const char member_add_text[] =
    "  --project ID            [the one of the key]\n"
    "  --role ROLE             admin, developer or viewer [developer]\n"
    "  --login NAME            signs in as this, with a password ('feitian member password "
    "ID')\n" CLOUD_TEXT;

static const char member_set_text[] = "  --name NAME             another name\n"
                                      "  --role ROLE             admin, developer or viewer\n"
                                      "  --login NAME            signs in as this\n" CLOUD_TEXT;

static const char member_password_text[] =
    "Typed unseen, twice; or a line of standard input. From 10 to 256 bytes. The member needs a\n"
    "login. Its other sessions end.\n" CLOUD_TEXT;

static const char plain_text[] = CLOUD_TEXT;

#define RULE_TEXT                                                                                  \
    "  --series NAME           the curve, such as error_ratio, ttft_p95, disk_free_ratio: GET\n"   \
    "                          /api/v1/history/series says which there are\n"                      \
    "  --above X, --below X    when it holds\n"                                                    \
    "  --for S                 for so long before it fires, and before it is over [60]\n"          \
    "  --endpoint NAME         of this one; '*': of each. Without any: the whole cloud's\n"        \
    "  --project ID, --bucket NAME, --worker ID\n"                                                 \
    "                          the same of one of these\n"                                         \
    "  --severity WORD         info, warning or critical [warning]\n"                              \
    "  --channel ID            who is told; several times for several; 'none'\n"                   \
    "  --repeat S              told again so often while it fires; 0: once [14400]\n"              \
    "  --quiet HH:MM-HH:MM     every day nobody is told then; 'none'. What holds at the end is\n"  \
    "  --tz ZONE               of these hours, such as Europe/Berlin [UTC]\n"

static const char alert_create_text[] = RULE_TEXT CLOUD_TEXT;

static const char alert_set_text[] =
    "  --on, --off             it is looked at, or not\n"
    "  --name NAME             another name\n" RULE_TEXT CLOUD_TEXT;

#define CHANNEL_TEXT                                                                               \
    "  --url URL               a webhook: gets a POST of JSON. Any address that this machine\n"    \
    "                          reaches\n"                                                          \
    "  --to ADDRESS            a mailbox; the mail goes through the relay\n"                       \
    "  --secret-file FILE      a webhook's notices are signed with it; '-': standard input [one\n" \
    "                          is drawn and shown]\n"                                              \
    "  --heartbeat S           a sign of life so often: where it is missed, the cloud is dead "    \
    "[0:\n"                                                                                        \
    "                          none]\n"

static const char channel_create_text[] = CHANNEL_TEXT CLOUD_TEXT;

static const char channel_set_text[] =
    CHANNEL_TEXT "  --name NAME             another name\n" CLOUD_TEXT;

static const char channel_relay_text[] =
    "Without options it shows the relay.\n"
    "\n"
    "  --host HOST             its name\n"
    "  --port N                [587]\n"
    "  --tls WORD              starttls (never without), tls, or none [starttls]\n"
    "  --from ADDRESS          whose mails they are\n"
    "  --user NAME             if it wants one; 'none'\n"
    "  --password-file FILE    '-': standard input\n"
    "  --relay-ca FILE         PEM, on the cloud's machine, that its certificate is checked by "
    "[the\n"
    "                          system's]\n" CLOUD_TEXT;

static const char events_text[] =
    "The oldest first. The cloud keeps the last 2048.\n"
    "\n"
    "  --endpoint NAME         of this one\n"
    "  --kind KIND             such as worker_died, failover, scaled, alert_firing\n"
    "  --limit N               the newest N, 500 at most [50]\n" CLOUD_TEXT;

static const struct {
    const char *cmd, *text;
} texts[] = {
    {"up", up_text},
    {"backup", backup_text},
    {"restore", restore_text},
    {"down", down_text},
    {"status", status_text},
    {"top", top_text},
    {"doctor", doctor_text},
    {"chat", chat_text},
    {"usage", usage_text},
    {"explain", explain_text},
    {"events", events_text},
    {"alert create", alert_create_text},
    {"alert list", plain_text},
    {"alert set", alert_set_text},
    {"alert rm", plain_text},
    {"channel create", channel_create_text},
    {"channel list", plain_text},
    {"channel set", channel_set_text},
    {"channel test", plain_text},
    {"channel relay", channel_relay_text},
    {"channel rm", plain_text},
    {"node list", plain_text},
    {"support-bundle", support_text},
    {"model add", model_add_text},
    {"model list", model_list_text},
    {"model rm", model_rm_text},
    {"endpoint create", endpoint_create_text},
    {"endpoint list", endpoint_list_text},
    {"endpoint show", plain_text},
    {"endpoint scale", endpoint_scale_text},
    {"endpoint set", endpoint_set_text},
    {"endpoint rm", plain_text},
    {"hub ls", hub_text},
    {"hub show", hub_text},
    {"hub push", hub_push_text},
    {"hub pull", hub_text},
    {"hub rm", hub_text},
    {"hub tag", hub_tag_text},
    {"files ls", files_ls_text},
    {"files put", files_put_text},
    {"files get", files_get_text},
    {"files rm", plain_text},
    {"batch create", batch_create_text},
    {"batch ls", plain_text},
    {"batch show", batch_show_text},
    {"batch cancel", plain_text},
    {"batch results", batch_results_text},
    {"cp", cp_text},
    {"ls", ls_text},
    {"mb", plain_text},
    {"rm", rm_text},
    {"presign", presign_text},
    {"tune create", tune_create_text},
    {"tune list", plain_text},
    {"tune show", tune_show_text},
    {"tune events", plain_text},
    {"tune pause", plain_text},
    {"tune resume", plain_text},
    {"tune cancel", plain_text},
    {"blob check", blob_check_text},
    {"blob scrub", blob_scrub_text},
    {"blob usage", blob_usage_text},
    {"key create", key_create_text},
    {"key list", key_list_text},
    {"key revoke", plain_text},
    {"key s3", key_s3_text},
    {"project create", project_create_text},
    {"project list", plain_text},
    {"project show", plain_text},
    {"project set", project_set_text},
    {"project rm", project_rm_text},
    {"member add", member_add_text},
    {"member list", key_list_text},
    {"member set", member_set_text},
    {"member password", member_password_text},
    {"member rm", plain_text},
    {"session list", key_list_text},
    {"session end", plain_text},
};

const char *ft_cloud_help(const char *cmd)
{
    for (size_t i = 0; i < FT_COUNT(texts); i++)
        if (strcmp(texts[i].cmd, cmd) == 0)
            return texts[i].text;
    return NULL;
}

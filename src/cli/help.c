/* What the options of the commands mean, for `feitian COMMAND --help`: one text per command, which
 * follows its usage line. Plain text, 100 columns; a default stands in brackets. */
#include "cli/cli.h"

#include <string.h>

static const char run_text[] =
    "Without -p, and with a terminal, a conversation; otherwise the prompt is standard input.\n"
    "\n"
    "  -p, --prompt TEXT       the question; - reads it from standard input\n"
    "  --system TEXT           the system message\n"
    "  --adapter FOLDER        answers through a LoRA adapter of this model (a PEFT folder)\n"
    "  --thinking on|off       for models that can do both [as the model's template says]\n"
    "  --raw                   no chat template: the model continues the text as it is\n"
    "  --quiet                 no progress, no figures at the end\n"
    "\n"
    "sampling [what the model recommends, else 0.7 and top-p 0.95]\n"
    "  --temperature T         0: always the likeliest token\n"
    "  --top-k N               only the N likeliest tokens; 0: all [0]\n"
    "  --top-p P               the likeliest tokens that make up P; 1: all\n"
    "  --min-p P               none less than P times as likely as the likeliest [0]\n"
    "  --typical-p P           locally typical sampling; 1: off [1]\n"
    "  --repetition-penalty R  over prompt and answer; 1: off [1]\n"
    "  --presence-penalty P    over the answer, -2 to 2 [0]\n"
    "  --frequency-penalty P   over the answer, -2 to 2 [0]\n"
    "  --penalty-window N      how many last tokens the penalties see; 0: all [0]\n"
    "  --logit-bias ID=BIAS    adds to a token's logit; may be given several times\n"
    "  --seed N                the same seed gives the same answer [the clock]\n"
    "\n"
    "where the answer ends\n"
    "  --max-tokens N          0: where the context is full [0]\n"
    "  --min-tokens N          nothing ends the answer before [0]\n"
    "  --stop TEXT             before this text; may be given several times\n"
    "  --ignore-eos            the model's own end of text does not count\n"
    "\n"
    "constrained answers; one that is cut off before it is complete exits with 1\n"
    "  --json                  any JSON object\n"
    "  --json-schema FILE      JSON that the schema allows\n"
    "  --regex RE              text that matches the expression as a whole\n"
    "  --gbnf FILE             text of a GBNF grammar's rule 'root'\n"
    "\n"
    "speed and memory; none of the first three changes a greedy answer\n"
    "  --lookup N              drafts up to N tokens from repetitions in the text [0]\n"
    "  --draft MODEL           a small model of the same vocabulary drafts\n"
    "  --draft-max N           up to N tokens a step [4]\n"
    "  --ctx N                 most tokens of prompt and answer [as the model was trained]\n"
    "  --kv f16|f32|q8         precision of the KV cache [f16]\n"
    "  --memory-mb N           for weights and KV cache [3/4 of the machine's]\n"
    "  --threads N             [one per core]\n"
    "  --isa NAME              plain, avx2 or avx512 [the best there is]\n"
    "  --device cpu|ref        ref: plain and slow, to compare with [cpu]\n";

static const char bench_text[] =
    "  --shape NAME     random weights in the shape of a known model: qwen3-0.6b, qwen3-4b,\n"
    "                   llama-3.2-1b, qwen3moe-small, deepseek2-small\n"
    "  --type T         weight format of the shape, such as Q4_0, Q8_0, Q4_K_M\n"
    "  --prefill N      tokens of the prompt; 0: not measured [512]\n"
    "  --decode N       tokens generated per sequence; 0: not measured [128]\n"
    "  --depth N        tokens of context before decoding begins [0]\n"
    "  --batch N,N,...  sequences that decode together, or none [1,4,16,32]\n"
    "  --repeat N       prefills measured; the median counts [5]\n"
    "  --threads N      [one per core]\n"
    "  --kv f16|f32|q8  precision of the KV cache [f16]\n"
    "  --isa NAME       plain, avx2 or avx512 [the best there is]\n"
    "  --device cpu|ref [cpu]\n"
    "  --json           one JSON object instead of a table\n";

static const char constrain_text[] =
    "Prints accept or reject for each line of standard input, which is one whole text. A schema "
    "that\n"
    "cannot be enforced is refused: exit status 2, and the keyword on standard error.\n"
    "\n"
    "  --schema FILE    JSON Schema\n"
    "  --json           any JSON object\n"
    "  --regex RE       a regular expression, matched as a whole\n"
    "  --gbnf FILE      a GBNF grammar\n"
    "  --sample N       instead of reading: N random texts that the constraint allows, one a "
    "line,\n"
    "                   and what masks cost on standard error\n"
    "  --model MODEL    whose vocabulary the samples are made of\n"
    "  --seed S         [1]\n";

static const char convert_text[] =
    "SOURCE is a Hugging Face folder or a GGUF file, also a split one.\n"
    "\n"
    "  -o, --output FILE  written under another name, and renamed when it is complete\n"
    "  -o FOLDER/         a Hugging Face folder (what ends in /, or is a folder): nothing yet, or\n"
    "                     empty. From a GGUF: llama, qwen2, qwen3, qwen3moe\n"
    "  --type TYPE        F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q4_K_M Q5_K Q5_K_M\n"
    "                     Q6_K IQ4_NL IQ4_XS MXFP4 [as in SOURCE; F16 for a shape]; in a folder\n"
    "                     F32 F16 BF16 [as in SOURCE; BF16 for what is quantised there]\n"
    "  --pure             no tensor gets more bits than the type says\n"
    "  --threads N        [one per core]\n"
    "  --shard-mb N       most megabytes of one file of a folder [5000]\n"
    "  --shape NAME       random weights in the shape of a known model: qwen3-0.6b, qwen3-4b,\n"
    "                     llama-3.2-1b, qwen3moe-small, deepseek2-small\n";

static const char eval_text[] =
    "  --tokens IDS     numbers with commas between them\n"
    "  --logits FILE    float32, little-endian, [number of tokens][size of the vocabulary]\n"
    "  --adapter FOLDER through a LoRA adapter of this model (a PEFT folder)\n"
    "  --device cpu|ref [cpu]\n"
    "  --threads N      [one per core]\n"
    "  --kv f32|f16|q8  precision of the KV cache [f32]\n"
    "  --isa NAME       plain, avx2 or avx512 [the best there is]\n"
    "  --rows N         tokens computed together [256]\n";

static const char evaluate_text[] =
    "DATA is what a model is trained on: JSONL with messages, prompt and completion, or text; or "
    "a\n"
    "*.txt file. For multiple choice: {\"question\": ..., \"choices\": [...], \"answer\": 0, \"B\" "
    "or\n"
    "the text}, where a \"prompt\" instead is continued, and \"messages\" are answered.\n"
    "\n"
    "  --metric perplexity   of the answers, completions or texts\n"
    "  --metric exact        answers greedily; right if equal to the last answer of the line\n"
    "  --metric choice       the likeliest of the choices, summed and per byte\n"
    "                        [choice if the first line has choices, exact if it has messages or a\n"
    "                        completion, else perplexity]\n"
    "  --adapter FOLDER      a LoRA adapter (PEFT) on the model\n"
    "  --chat-template FILE  a Jinja template instead of the model's own\n"
    "  --thinking on|off     for models that can do both [as the model's template says]\n"
    "  --max-tokens N        of an answer, for exact [256]\n"
    "  --ctx N               tokens of a sample; longer texts are cut into such pieces [4096, or "
    "less\n"
    "                        where the model has less]\n"
    "  --too-long error|truncate|drop\n"
    "                        what happens to other samples longer than that [error]\n"
    "  --special-text        names of control tokens in the data are those tokens\n"
    "  --limit N             only the first N samples\n"
    "  --details FILE        each sample's outcome, one JSON object a line\n"
    "  --parallel N          requests at the same time [16]\n"
    "  --threads N           [one per core]\n"
    "  --device cpu|ref      [cpu]\n"
    "  --kv f32|f16|q8       precision of the KV cache [f16]\n"
    "  --memory-mb N         for weights and KV cache [3/4 of the machine's]\n"
    "  --json                one JSON object\n";

static const char control_text[] =
    "Serves the gateway alone, on a unix socket. Ends on SIGTERM.\n"
    "\n"
    "  --home FOLDER    of the cloud: state/state.db, models/, credentials.json\n"
    "  --socket PATH    [HOME/run/control.sock]\n"
    "  --url URL        of the gateway, for credentials.json [http://127.0.0.1:7700]\n";

static const char inspect_text[] = "  --json           one JSON object\n"
                                   "  --tensors        every tensor, its format and shape too\n"
                                   "  --confined       in a sandbox: for files of strangers\n";

static const char merge_text[] =
    "BASE is a Hugging Face folder or a GGUF file, ADAPTER a folder of PEFT: adapter_config.json "
    "and\n"
    "adapter_model.safetensors. Memory stays small however large the base is. A matrix that is\n"
    "quantised in BASE is dequantised, changed and quantised again: in fewer bits than Q8_0 has, "
    "most\n"
    "of an adapter would be rounded away, so that is the least for what changes, without --type.\n"
    "\n"
    "  -o, --output FILE  a GGUF file\n"
    "  -o FOLDER/         a Hugging Face folder (what ends in /, or is a folder)\n"
    "  --type TYPE        as of convert [as in BASE; in a folder BF16 for what is quantised "
    "there]\n"
    "  --pure             no tensor gets more bits than the type says\n"
    "  --threads N        [one per core]\n"
    "  --shard-mb N       most megabytes of one file of a folder [5000]\n";

static const char perplexity_text[] =
    "The text is cut into windows, and the second half of each counts, as llama.cpp does it.\n"
    "\n"
    "  --ctx N          tokens of a window [512, or less where model or text are shorter]\n"
    "  --adapter FOLDER through a LoRA adapter of this model (a PEFT folder)\n"
    "  --threads N      [one per core]\n"
    "  --device cpu|ref [cpu]\n"
    "  --kv f32|f16|q8  precision of the KV cache [f16]\n"
    "  --json           one JSON object\n";

static const char render_text[] =
    "Standard input is one JSON object: messages, tools, add_generation_prompt and whatever else\n"
    "the template asks for.\n"
    "\n"
    "  --template FILE  a Jinja template instead of a model's own\n"
    "  --now TIME       the clock of strftime_now, such as 2024-07-26T12:00:00 or seconds [now]\n";

static const char tokenize_text[] =
    "MODEL may be a tokenizer.json.\n"
    "\n"
    "  --ids            one JSON array of ids; this is what happens anyway\n"
    "  --pieces         one token a line: its id and its bytes\n"
    "  --special        special tokens in the text are those tokens, not their letters\n"
    "  --no-special     the opposite; this is what happens anyway\n"
    "  --bos, --eos     adds the token that begins or ends a text, if the model wants one\n";

static const char detokenize_text[] =
    "  --no-special     leaves special tokens out; otherwise they are written as their names\n";

static const char train_tokenizer_text[] =
    "feitian train tokenizer: a byte-level BPE vocabulary, as tokenizer.json\n"
    "usage: feitian train tokenizer --vocab-size N -o PATH [OPTION ...] FILE ...\n"
    "\n"
    "Files are texts (*.txt) or JSONL: what is written in their text, prompt, completion and\n"
    "messages counts. The same text gives the same vocabulary, in whatever order.\n"
    "\n"
    "  --vocab-size N           bytes and special tokens included\n"
    "  -o, --output PATH        tokenizer.json, with tokenizer_config.json beside it; or a folder\n"
    "  --special TOKEN          may be given several times\n"
    "                           [<|endoftext|> <|im_start|> <|im_end|>]\n"
    "  --eos TOKEN              ends a text [chatml: <|im_end|>; else the first special token]\n"
    "  --bos TOKEN              begins a text [none]\n"
    "  --pad TOKEN              [<|endoftext|> if it is there]\n"
    "  --chat-template chatml|FILE\n"
    "                           how conversations are written: ChatML, or a Jinja template [none]\n"
    "  --pretokenizer NAME      how text is cut before: qwen2, each digit by itself; llama3, up "
    "to\n"
    "                           three digits together; gpt2, whole numbers [qwen2]\n"
    "  --min-count N            rarer pairs do not become tokens [2]\n";

static const char worker_text[] =
    "OpenAI's API over HTTP on a unix socket; src/worker/README.md lists the routes. A gateway "
    "starts\n"
    "it, but it needs none: POST /feitian/models {\"name\",\"path\"}, then /v1/chat/completions.\n"
    "\n"
    "  --socket PATH      where it listens; a socket that was left over is replaced\n"
    "  --read DIR[:DIR]   files and folders that models may be read from; it sees no others\n"
    "  --memory BYTES     for weights and KV cache of all models, such as 8G [3/4 of the "
    "machine's]\n"
    "  --kv f16|f32|q8    precision of the KV cache [f16]\n"
    "  --threads N        [one per core]\n"
    "  --lease SECONDS    ends itself when nobody asked GET /health for so long; 0: never [0]\n"
    "  --isa NAME         plain, avx2 or avx512 [the best there is]\n"
    "  --device cpu|ref   [cpu]\n"
    "  --unconfined       starts even where the kernel cannot filter its system calls\n";

static const char completion_text[] =
    "  bash   eval \"$(feitian completion bash)\" in ~/.bashrc, or into\n"
    "         ~/.local/share/bash-completion/completions/feitian\n"
    "  zsh    into a file _feitian in a folder of $fpath\n"
    "  fish   into ~/.config/fish/completions/feitian.fish\n"
    "\n"
    "An installed package has them in their places. Names of models, endpoints, buckets and keys "
    "are\n"
    "asked of the cloud.\n";

static const struct {
    const char *cmd, *text;
} texts[] = {
    {"run", run_text},
    {"bench", bench_text},
    {"constrain", constrain_text},
    {"convert", convert_text},
    {"eval", eval_text},
    {"evaluate", evaluate_text},
    {"control", control_text},
    {"inspect", inspect_text},
    {"merge", merge_text},
    {"render", render_text},
    {"perplexity", perplexity_text},
    {"tokenize", tokenize_text},
    {"detokenize", detokenize_text},
    {"train tokenizer", train_tokenizer_text},
    {"completion", completion_text},
    {"worker", worker_text},
};

const char *ft_cli_help(const char *cmd)
{
    if (strcmp(cmd, "train") == 0)
        return ft_cmd_train_help();
    for (size_t i = 0; i < FT_COUNT(texts); i++)
        if (strcmp(texts[i].cmd, cmd) == 0)
            return texts[i].text;
    const char *cloud = ft_cloud_help(cmd);
    return cloud != NULL ? cloud : "";
}

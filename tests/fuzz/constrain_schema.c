/* Hostile input for ft_grammar_from_schema(): see constrain.inc. */
#include "fuzz/constrain.inc"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    run(ft_grammar_from_schema, data, n);
    return 0;
}

/* Formats: see format.h. Where a format's standard allows more than common validators take, the
 * expression is the common part (a constrained text must be valid everywhere), as the comments say.
 * Macros build them from the terms of the RFCs. */
#include "engine/constrain/format.h"

#include <stddef.h>
#include <string.h>

/* RFC 3339. Days fit their months; 29 February stands only in leap years. No leap seconds: many
 * validators refuse :60. */
#define LEAP "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define YEAR "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])" /* 0000 is refused by many */
#define DATE                                                                                       \
    "((" YEAR                                                                                      \
    "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]"     \
    "|1[0-9]|2[0-8])))|((?=(" YEAR "))" LEAP "-02-29))"
#define CLOCK  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?"
#define OFFSET "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

/* RFC 1123 names: labels of at most 63; at most 253 characters in all. That bound is kept by taking
 * few long labels or many short ones: counting exactly would cost 20,000 states. */
#define LABEL   "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define LABEL30 "[A-Za-z0-9]([A-Za-z0-9-]{0,28}[A-Za-z0-9])?"
#define HOST    "(" LABEL "(\\." LABEL "){0,2}|" LABEL30 "(\\." LABEL30 "){0,7})"

#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4  "(" OCTET "\\.){3}" OCTET

#define H16 "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                       \
    "((" H16 ":){7}" H16 "|(" H16 ":){6}" IPV4 "|::(" H16 ":){0,5}(" H16 "|" IPV4 ")|::|(" H16     \
    ":){1,7}:|" H16 ":(:" H16 "){1,6}|(" H16 ":){2}(:" H16 "){1,5}|(" H16 ":){3}(:" H16            \
    "){1,4}|(" H16 ":){4}(:" H16 "){1,3}|(" H16 ":){5}(:" H16 "){1,2}|(" H16 ":){6}:" H16 "|(" H16 \
    ":){1,4}(:" IPV4 "))"

/* RFC 3986 */
#define PCT           "%[0-9A-Fa-f]{2}"
#define PCHAR         "([A-Za-z0-9._~!$&'()*+,;=:@-]|" PCT ")"
#define REGNAME       "([A-Za-z0-9._~!$&'()*+,;=-]|" PCT ")*"
#define AUTH_HOST     REGNAME "|\\[" IPV6 "\\]"
#define AUTH          "(([A-Za-z0-9._~!$&'()*+,;=:-]|" PCT ")*@)?(" AUTH_HOST ")(:[0-9]{0,5})?"
#define QFRAG         "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define PATH_ABEMPTY  "(/" PCHAR "*)*"
#define PATH_ABS      "/(" PCHAR "+(/" PCHAR "*)*)?"
#define PATH_ROOTLESS PCHAR "+(/" PCHAR "*)*"
#define SEGMENT_NC    "([A-Za-z0-9._~!$&'()*+,;=@-]|" PCT ")+"
#define HIER          "//" AUTH PATH_ABEMPTY "|" PATH_ABS "|" PATH_ROOTLESS
#define URI           "[A-Za-z][A-Za-z0-9+.-]*:(" HIER ")" QFRAG
#define RELATIVE      "(//" AUTH PATH_ABEMPTY "|" PATH_ABS "|" SEGMENT_NC "(/" PCHAR "*)*|)" QFRAG

/* The part of RFC 5321 that everyone takes: dot-atom @ host name. */
#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define EMAIL "(?=.{1,64}@)" ATEXT "+(\\." ATEXT "+)*@" HOST

#define UUID "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"

/* ISO 8601 as RFC 3339's appendix A has it. */
#define DTIME    "T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)"
#define DDATE    "([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)"
#define DURATION "P(" DDATE "(" DTIME ")?|" DTIME "|[0-9]+W)"

#define JPTR "(/([^/~]|~[01])*)*"

static const struct {
    const char *name, *re;
} formats[] = {
    {"date-time", DATE "[Tt]" CLOCK OFFSET},
    {"date", DATE},
    {"time", CLOCK OFFSET},
    {"duration", DURATION},
    {"email", EMAIL},
    {"idn-email", EMAIL},
    {"hostname", HOST},
    {"host-name", HOST},
    {"idn-hostname", HOST},
    {"ipv4", IPV4},
    {"ip-address", IPV4},
    {"ipv6", IPV6},
    {"uri", URI},
    {"url", URI},
    {"iri", URI},
    {"uri-reference", "(" URI "|" RELATIVE ")"},
    {"iri-reference", "(" URI "|" RELATIVE ")"},
    {"uuid", UUID},
    {"json-pointer", JPTR},
    {"relative-json-pointer", "(0|[1-9][0-9]*)(#|" JPTR ")"},
};

const char *ft_format_regex(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].re;
    return NULL;
}

/* A self-signed certificate and its key, made by GnuTLS. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define DAYS_MAX     36500
#define NAME_MAX_DNS 253
#define DAY_S        86400
#define CLOCK_SKEW_S 3600

static int failed(int rc, const char *what, struct ft_err *err)
{
    return ft_err_set(err, FT_EINTERNAL, "certificate: %s: %s", what, gnutls_strerror(rc));
}

static int add_name(gnutls_x509_crt_t crt, const char *name, struct ft_err *err)
{
    unsigned char ip[sizeof(struct in6_addr)];
    size_t n = strlen(name);
    int rc;
    if (inet_pton(AF_INET, name, ip) == 1) {
        rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 4,
                                                  GNUTLS_FSAN_APPEND);
    } else if (inet_pton(AF_INET6, name, ip) == 1) {
        rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 16,
                                                  GNUTLS_FSAN_APPEND);
    } else {
        if (n == 0 || n > NAME_MAX_DNS ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*_") != n)
            return ft_err_set(err, FT_EINVAL,
                              "certificate: \"%.100s\" is neither a DNS name nor an IP address",
                              name);
        rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)n,
                                                  GNUTLS_FSAN_APPEND);
    }
    return rc != 0 ? failed(rc, name, err) : 0;
}

/* The machine's name and the address that it listens at may be among the usual ones. */
static bool named_before(const char *const *names, int i)
{
    for (int k = 0; k < i; k++)
        if (strcmp(names[k], names[i]) == 0)
            return true;
    return false;
}

static int fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *const *names,
                int n_names, int days, struct ft_err *err)
{
    unsigned char serial[16];
    time_t now = time(NULL);
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of one length */
    if (rc == 0)
        rc = gnutls_x509_crt_set_version(crt, 3);
    if (rc == 0)
        rc = gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    if (rc == 0)
        rc = gnutls_x509_crt_set_activation_time(crt, now - CLOCK_SKEW_S);
    if (rc == 0)
        rc = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)days * DAY_S);
    if (rc == 0)
        rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "feitian", 7);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key(crt, key);
    if (rc == 0) /* it signs itself, so whoever trusts it trusts it as an authority for itself */
        rc = gnutls_x509_crt_set_basic_constraints(crt, 1, 0);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(crt,
                                           GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (rc != 0)
        return failed(rc, "its fields", err);
    for (int i = 0; i < n_names; i++) {
        if (named_before(names, i))
            continue;
        int bad = add_name(crt, names[i], err);
        if (bad != 0)
            return bad;
    }
    rc = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
    return rc != 0 ? failed(rc, "signing", err) : 0;
}

int ft_tls_self_signed(const char *const *names, int n_names, int days, const char *cert_path,
                       const char *key_path, struct ft_err *err)
{
    if (n_names < 1 || n_names > FT_TLS_NAMES_MAX)
        return ft_err_set(err, FT_EINVAL, "certificate: 1 to %d names", FT_TLS_NAMES_MAX);
    if (days < 1 || days > DAYS_MAX)
        return ft_err_set(err, FT_EINVAL, "certificate: 1 to %d days", DAYS_MAX);
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t key_pem = {0}, crt_pem = {0};
    int g = gnutls_x509_privkey_init(&key), rc = 0;
    if (g == 0)
        g = gnutls_x509_crt_init(&crt);
    if (g == 0)
        g = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (g != 0)
        rc = failed(g, "key", err);
    if (rc == 0)
        rc = fill(crt, key, names, n_names, days, err);
    if (rc == 0 && ((g = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                           GNUTLS_PKCS_PLAIN, &key_pem)) != 0 ||
                    (g = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &crt_pem)) != 0))
        rc = failed(g, "export", err);
    if (rc == 0) {
        mode_t before = umask(077); /* the key is for its owner's eyes from the first byte on */
        rc = ft_file_put(key_path, key_pem.data, key_pem.size, err);
        umask(before);
    }
    if (rc == 0)
        rc = ft_file_put(cert_path, crt_pem.data, crt_pem.size, err);
    if (key_pem.data != NULL)
        gnutls_memset(key_pem.data, 0, key_pem.size);
    gnutls_free(key_pem.data);
    gnutls_free(crt_pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return rc;
}

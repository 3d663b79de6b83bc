/* Vector kernels that store keys and values in the cache; included by attend_<isa>.c beside
 * attend_body.h. Values, and compressed keys, go row by row. Keys are turned so that tokens lie side by
 * side: registers transpose full runs of VW tokens, single tokens are scattered. */

/* A group of at most FT_KV_GROUP dimensions as bytes in q; returns their scale. */
INLINE uint16_t to_bytes(const float *x, int n, int8_t *q)
{
    vf most = v_zero();
    for (int i = 0; i < n; i += VW)
        most = v_max(most, v_abs(v_load_n(x + i, FT_MIN(VW, n - i))));
    uint16_t scale = ft_f32_to_bf16(v_hmax(most) / 127);
    float step = ft_bf16_to_f32(scale);
    vf inverse = v_set1(step > 0 ? 1 / step : 0), low = v_set1(-127), high = v_set1(127);
    for (int i = 0; i < n; i += VW) {
        int m = FT_MIN(VW, n - i);
        vf v = v_mul(v_load_n(x + i, m), inverse);
        v_store_i8_n(q + i, v_min(v_max(v, low), high), m);
    }
    return scale;
}

/* One row of d elements, side by side; scale: one per group, side by side. */
INLINE void store_row(enum ft_kv_type type, const float *x, int d, uint8_t *p, int64_t at,
                      uint16_t *scale)
{
    if (type == FT_KV_F32) {
        memcpy((float *)p + at, x, (size_t)d * sizeof *x);
    } else if (type == FT_KV_F16) {
        uint16_t *h = (uint16_t *)p + at;
        int i = 0;
        for (; i + VW <= d; i += VW)
            v_store_f16(h + i, v_load(x + i));
        if (i < d)
            v_store_f16_n(h + i, v_load_n(x + i, d - i), d - i);
    } else {
        for (int i = 0; i < d; i += FT_KV_GROUP)
            *scale++ = to_bytes(x + i, FT_MIN(FT_KV_GROUP, d - i), (int8_t *)p + at + i);
    }
}

/* One key as token t of a block. */
INLINE void scatter_key(enum ft_kv_type type, const float *x, int d, uint8_t *p, int t,
                        uint16_t *scale)
{
    for (int i0 = 0; i0 < d; i0 += FT_KV_GROUP) {
        int n = FT_MIN(FT_KV_GROUP, d - i0);
        int8_t q[FT_KV_GROUP];
        uint16_t h[FT_KV_GROUP];
        if (type == FT_KV_Q8)
            scale[i0 / FT_KV_GROUP * FT_KV_BLOCK + t] = to_bytes(x + i0, n, q);
        else if (type == FT_KV_F16)
            store_row(FT_KV_F16, x + i0, n, (uint8_t *)h, 0, NULL);
        for (int i = 0; i < n; i++) {
            int64_t at = (int64_t)(i0 + i) * FT_KV_BLOCK + t;
            if (type == FT_KV_F32)
                ((float *)p)[at] = x[i0 + i];
            else if (type == FT_KV_F16)
                ((uint16_t *)p)[at] = h[i];
            else
                ((int8_t *)p)[at] = q[i];
        }
    }
}

/* VW keys as tokens t .. t + VW - 1; returns the dimensions done. */
INLINE int turn_keys(enum ft_kv_type type, const float *x, int64_t ld, int d, uint8_t *p, int t)
{
    int i0 = 0;
    for (; i0 + VW <= d; i0 += VW) {
        vf r[VW];
#pragma GCC unroll 16
        for (int i = 0; i < VW; i++)
            r[i] = v_load(x + i * ld + i0);
        v_transpose(r);
#pragma GCC unroll 16
        for (int i = 0; i < VW; i++) {
            int64_t at = (int64_t)(i0 + i) * FT_KV_BLOCK + t;
            if (type == FT_KV_F32)
                v_store((float *)p + at, r[i]);
            else
                v_store_f16((uint16_t *)p + at, r[i]);
        }
    }
    return i0;
}

INLINE void store_keys(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head, int t,
                       int n, struct ft_mat k)
{
    uint16_t *scale = (uint16_t *)(head + s->k_scale);
    int es = ft_kv_elem_bytes(type);
    for (int r = 0; r < n;) {
        const float *x = k.p + (int64_t)r * k.ld;
        if (type == FT_KV_Q8 || n - r < VW) {
            scatter_key(type, x, s->d_k, head, t + r, scale);
            r++;
            continue;
        }
        int done = turn_keys(type, x, k.ld, s->d_k, head, t + r);
        for (int i = 0; done < s->d_k && i < VW; i++)
            scatter_key(type, x + i * k.ld + done, s->d_k - done,
                        head + (int64_t)done * FT_KV_BLOCK * es, t + r + i, NULL);
        r += VW;
    }
}

INLINE void store(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head, int t, int n,
                  struct ft_mat k, struct ft_mat v)
{
    uint16_t *k_scale = (uint16_t *)(head + s->k_scale);
    uint16_t *v_scale = (uint16_t *)(head + s->v_scale);
    if (!s->v_in_k)
        store_keys(type, s, head, t, n, k);
    for (int r = 0; r < n; r++) {
        int64_t tok = t + r;
        if (s->v_in_k)
            store_row(type, k.p + r * k.ld, s->d_k, head, tok * s->ld_v, k_scale + tok * s->n_kg);
        else
            store_row(type, v.p + r * v.ld, s->d_v, head + s->v, tok * s->ld_v,
                      v_scale + tok * s->n_vg);
    }
}

void ISA(ft_kv_store)(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head, int t,
                      int n, struct ft_mat k, struct ft_mat v)
{
    if (type == FT_KV_F32)
        store(FT_KV_F32, s, head, t, n, k, v);
    else if (type == FT_KV_F16)
        store(FT_KV_F16, s, head, t, n, k, v);
    else
        store(FT_KV_Q8, s, head, t, n, k, v);
}

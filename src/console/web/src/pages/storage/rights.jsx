// Who may read a bucket: public or not by one switch, or by its policy.
import { useCallback, useState } from 'preact/hooks';
import { useAction, useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import {
  Button,
  confirmDelete,
  ErrorNote,
  Form,
  Loading,
  Note,
  Section,
  TextArea,
  toast,
} from '../../ui/index.js';
import { mayWrite } from './buckets.jsx';
import * as s3 from './s3.js';

const SID = 'PublicRead';

function publicStatement(bucket) {
  return {
    Sid: SID,
    Effect: 'Allow',
    Principal: '*',
    Action: 's3:GetObject',
    Resource: `arn:aws:s3:::${bucket}/*`,
  };
}

const asText = (policy) => JSON.stringify(policy, null, 2);

function example(bucket) {
  return asText({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'OtherProjectReads',
        Effect: 'Allow',
        Principal: { AWS: 'PROJECT' },
        Action: ['s3:GetObject'],
        Resource: `arn:aws:s3:::${bucket}/*`,
      },
    ],
  });
}

// The public statement beside what the policy says already, or without it; null: nothing is left.
function withPublic(text, bucket, open) {
  const policy = text ? JSON.parse(text) : { Version: '2012-10-17', Statement: [] };
  const all = Array.isArray(policy.Statement) ? policy.Statement : [policy.Statement];
  const others = all.filter((s) => s.Sid !== SID);
  const statements = open ? [...others, publicStatement(bucket)] : others;
  return statements.length === 0 ? null : asText({ ...policy, Statement: statements });
}

const hasOurs = (text) => {
  try {
    return [JSON.parse(text).Statement].flat().some((s) => s.Sid === SID);
  } catch {
    return false;
  }
};

function Open({ bucket, open, policy, put, writes }) {
  const ours = policy !== null && hasOurs(policy);
  const now = open ? 'now_public' : policy !== null ? 'now_policy' : 'now_private';
  const make = () =>
    confirmDelete({
      what: bucket,
      title: t('storage.rights.open.title', { bucket }),
      text: t('storage.rights.open.text'),
      verb: t('storage.rights.open.verb'),
      action: () => put(withPublic(policy, bucket, true), 'rights.opened'),
    });
  const close = () => put(withPublic(policy, bucket, false), 'rights.closed').catch(toast.error);
  return (
    <Section
      title={t('storage.rights.title')}
      actions={
        writes &&
        (open ? (
          ours && (
            <Button small onClick={close}>
              {t('storage.rights.close')}
            </Button>
          )
        ) : (
          <Button small icon="globe" onClick={make}>
            {t('storage.rights.open')}
          </Button>
        ))
      }>
      <Note tone={open ? 'warn' : 'info'}>
        <p>{t(`storage.rights.${now}`)}</p>
      </Note>
    </Section>
  );
}

function whyBad(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (e) {
    return t('storage.policy.bad', { why: e.message });
  }
}

function Policy({ bucket, policy, put, writes }) {
  const shown =
    policy === null
      ? ''
      : (() => {
          try {
            return asText(JSON.parse(policy));
          } catch {
            return policy;
          }
        })();
  const [text, setText] = useState(null);
  const [error, setError] = useState(null);
  const bad = text !== null && text !== '' ? whyBad(text) : null;
  const [save, busy] = useAction(async () => {
    setError(null);
    try {
      await put(text, 'policy.saved');
      setText(null);
    } catch (e) {
      setError(e);
    }
  });
  const remove = async () => {
    await confirmDelete({
      what: t('storage.policy.title'),
      title: t('storage.policy.remove'),
      text: t('storage.rights.now_private'),
      verb: t('storage.policy.remove'),
      action: () => put(null, 'policy.removed'),
    });
    setText(null);
  };
  const editing = text !== null || policy !== null;
  return (
    <Section
      title={t('storage.policy.title')}
      text={t('storage.policy.about')}
      actions={
        writes &&
        policy !== null && (
          <Button small icon="trash" onClick={remove}>
            {t('storage.policy.remove')}
          </Button>
        )
      }>
      {!editing && (
        <div class="stack">
          <p class="muted">{t('storage.policy.none')}</p>
          {writes && (
            <p>
              <Button icon="edit" onClick={() => setText(example(bucket))}>
                {t('storage.policy.start')}
              </Button>
            </p>
          )}
        </div>
      )}
      {editing && (
        <Form
          onSubmit={save}
          actions={
            writes && (
              <>
                {text !== null && <Button onClick={() => setText(null)}>{t('ui.cancel')}</Button>}
                <Button
                  type="submit"
                  kind="primary"
                  busy={busy}
                  disabled={text === null || text === '' || bad !== null}>
                  {t('ui.save')}
                </Button>
              </>
            )
          }>
          <TextArea
            label={t('storage.policy.text')}
            mono
            rows={14}
            value={text ?? shown}
            readOnly={!writes}
            error={bad}
            onChange={(v) => {
              setText(v);
              setError(null);
            }}
          />
          <ErrorNote error={error} />
        </Form>
      )}
    </Section>
  );
}

export function Rights({ bucket, open, changed }) {
  const ask = useCallback(() => s3.getPolicy(bucket), [bucket]);
  const asked = useCallback(async () => ({ policy: await ask() }), [ask]);
  const { data, error, reload } = useApi(asked);
  const writes = mayWrite();
  const put = async (text, said) => {
    await (text === null ? s3.deletePolicy(bucket) : s3.putPolicy(bucket, text));
    toast.ok(t(`storage.${said}`));
    reload();
    changed();
  };
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!data) return <Loading />;
  const what = { bucket, policy: data.policy, put, writes };
  return (
    <>
      <Open {...what} open={open} />
      <Policy {...what} />
    </>
  );
}

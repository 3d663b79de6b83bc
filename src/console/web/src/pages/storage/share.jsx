// A link to one object, for whoever has it, until it expires.
import { useState } from 'preact/hooks';
import { DAY, HOUR } from '../../lib/calendar.js';
import { useAction } from '../../lib/hooks.js';
import { dateTime, t } from '../../lib/i18n.js';
import { Button, Checkbox, Choice, Code, Dialog, ErrorNote, Form } from '../../ui/index.js';
import { presign } from './s3.js';

const TIMES = { '1h': HOUR, '1d': DAY, '7d': 7 * DAY };

export function Share({ bucket, objectKey, version, onClose }) {
  const [time, setTime] = useState('1d');
  const [download, setDownload] = useState(false);
  const [link, setLink] = useState(null);
  const [error, setError] = useState(null);
  const name = objectKey.split('/').pop() || objectKey;
  const [make, busy] = useAction(async () => {
    setError(null);
    try {
      setLink(
        await presign({
          bucket,
          key: objectKey,
          method: 'GET',
          expires_s: TIMES[time],
          ...(version ? { version_id: version } : {}),
          ...(download ? { download_as: name } : {}),
        }),
      );
    } catch (e) {
      setError(e);
    }
  });
  const change = (set) => (v) => {
    set(v);
    setLink(null);
  };
  return (
    <Dialog title={t('storage.share.title', { name })} onClose={onClose}>
      <p class="muted">{t('storage.share.text')}</p>
      <Form
        onSubmit={make}
        actions={
          <Button type="submit" kind="primary" icon="link" busy={busy}>
            {t('storage.share.make')}
          </Button>
        }>
        <Choice
          label={t('storage.share.for')}
          value={time}
          onChange={change(setTime)}
          options={Object.keys(TIMES).map((value) => ({
            value,
            label: t(`storage.share.${value}`),
          }))}
        />
        <Checkbox
          label={t('storage.share.download')}
          value={download}
          onChange={change(setDownload)}
        />
        <ErrorNote error={error} />
      </Form>
      <div role="status">
        {link && (
          <>
            <Code text={link.url} label={t('storage.share.link')} wrap />
            <p class="muted small">{t('storage.share.until', { at: dateTime(link.expires) })}</p>
          </>
        )}
      </div>
    </Dialog>
  );
}

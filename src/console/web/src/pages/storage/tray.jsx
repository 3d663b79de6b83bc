// What is being uploaded, in a corner; it goes on while other pages are looked at.
import { useEffect, useState } from 'preact/hooks';
import { createStore } from '../../lib/store.js';
import { bytes, number, t } from '../../lib/i18n.js';
import { Button, Icon, Live } from '../../ui/index.js';
import { Uploads } from './upload.js';

const entries = createStore([]);
const finished = createStore(0); // counts up with each file that has arrived: lists are asked again

export const uploads = new Uploads((list) => {
  const done = list.filter((e) => e.state === 'done').length;
  entries.set(list);
  if (done > finished.get()) finished.set(done);
  if (list.length === 0) finished.set(0);
});
export const useFinished = () => finished.use();

const going = (e) => e.state === 'waiting' || e.state === 'sending';

function State({ e }) {
  if (e.state === 'sending')
    return (
      <span class="muted figures">
        {bytes(e.sent)} / {bytes(e.size)}
      </span>
    );
  if (e.state === 'failed')
    return (
      <span class="storage-tray-failed">{t('storage.up.failed', { why: e.error.message })}</span>
    );
  return <span class="muted">{t(`storage.up.${e.state}`)}</span>;
}

function Entry({ e }) {
  const name = e.key.split('/').pop();
  return (
    <li class="storage-tray-entry">
      <div class="storage-tray-words">
        <span class="storage-tray-name" title={`${e.bucket}/${e.key}`}>
          {e.key}
        </span>
        <State e={e} />
        {e.state === 'sending' && (
          <progress max="1" value={e.size > 0 ? e.sent / e.size : 0} aria-label={e.key} />
        )}
      </div>
      {going(e) && (
        <Button
          small
          kind="quiet"
          icon="close"
          label={t('storage.up.stop', { name })}
          onClick={() => uploads.abort(e)}
        />
      )}
      {(e.state === 'failed' || e.state === 'aborted') && (
        <Button
          small
          kind="quiet"
          icon="refresh"
          label={t('storage.up.retry', { name })}
          onClick={() => uploads.retry(e)}
        />
      )}
      {e.state === 'done' && <Icon name="ok" class="storage-tray-ok" />}
    </li>
  );
}

const SHOWN = 100;

export function Tray() {
  const list = entries.use();
  const [open, setOpen] = useState(true);
  const busy = list.some(going);
  useEffect(() => {
    const stay = (event) => event.preventDefault();
    if (busy) window.addEventListener('beforeunload', stay);
    return () => window.removeEventListener('beforeunload', stay);
  }, [busy]);
  const n = (state) => list.filter((e) => e.state === state).length;
  const said =
    !busy && list.length > 0
      ? t('storage.up.over', {
          done: number(n('done')),
          failed: number(n('failed') + n('aborted')),
        })
      : '';
  const order = { sending: 0, failed: 1, waiting: 2, aborted: 3, done: 4 };
  return (
    <>
      <Live>{said}</Live>
      {list.length > 0 && (
        <section class="storage-tray" aria-label={t('storage.up.title')}>
          <header class="storage-tray-head">
            <h2>{t('storage.up.title')}</h2>
            <span class="muted figures">
              {t('storage.up.of', { done: number(n('done')), all: number(list.length) })}
            </span>
            {busy ? (
              <Button small kind="quiet" onClick={() => uploads.abortAll()}>
                {t('storage.up.stop_all')}
              </Button>
            ) : (
              <Button
                small
                kind="quiet"
                icon="close"
                label={t('storage.up.clear')}
                onClick={() => uploads.clear()}
              />
            )}
            <Button
              small
              kind="quiet"
              icon={open ? 'down' : 'up'}
              aria-expanded={open}
              label={t(open ? 'storage.up.hide' : 'storage.up.show')}
              onClick={() => setOpen(!open)}
            />
          </header>
          {open && (
            <ul class="storage-tray-list" tabIndex={0} aria-label={t('storage.up.title')}>
              {[...list]
                .sort((a, b) => order[a.state] - order[b.state] || a.id - b.id)
                .slice(0, SHOWN)
                .map((e) => (
                  <Entry key={e.id} e={e} />
                ))}
            </ul>
          )}
        </section>
      )}
    </>
  );
}

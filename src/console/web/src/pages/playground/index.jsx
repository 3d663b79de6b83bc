// The playground: what one says, to one model or two, with the settings beside it.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { useApi } from '../../lib/hooks.js';
import { addText, t } from '../../lib/i18n.js';
import { getRoute, navigate, setQuery } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Button,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Live,
  Loading,
  Page,
  Select,
  toast,
  toClipboard,
} from '../../ui/index.js';
import { CodeDialog } from './CodeDialog.jsx';
import { Composer } from './Composer.jsx';
import { forget, keep, keeps, kept, startKeeping, stopKeeping } from './keep.js';
import { NotChat, whatItDoes } from './kinds.jsx';
import { Pane } from './Pane.jsx';
import { EMPTY, fromLink, readSettings, toLink } from './params.js';
import { bodyOf, newId, openCalls, toShow } from './run.js';
import { Settings } from './Settings.jsx';
import * as text from './text.js';
import { useChat } from './useChat.js';

addText('playground', text);

// What the address asks for: ?model=NAME, or what a link that somebody copied says behind its #,
// which is never sent to a server.
function asked() {
  const { query, hash } = getRoute();
  const link = hash ? fromLink(hash) : null;
  const model = query.get('model');
  return {
    settings: link?.settings ?? EMPTY,
    models: link?.models.length ? link.models : model ? [model] : [],
  };
}

function lastAnswer(panes) {
  return panes[0].messages.findLast((m) => m.role === 'assistant');
}

// What a screen reader hears: that it begins, and how it ended.
function Spoken({ panes, running }) {
  const m = lastAnswer(panes);
  let text = '';
  if (running) text = t('playground.live.running');
  else if (m?.error) text = t('playground.live.failed', { text: m.error.message });
  else if (m?.state === 'stopped') text = t('playground.live.stopped');
  else if (m) text = t('playground.live.done', { n: m.usage?.completion_tokens ?? '' });
  return <Live>{text}</Live>;
}

function useKept(chat, settings, apply) {
  const [keeping, setKeeping] = useState(keeps);
  const [list, setList] = useState(kept);
  const id = useRef(newId());
  useEffect(() => {
    if (!keeping || chat.running || chat.panes[0].messages.length === 0) return;
    if (!keep(id.current, chat.panes, settings)) toast.error(t('playground.keep.full'));
    setList(kept());
  }, [chat.running, chat.panes, keeping]);
  return {
    anew: () => {
      id.current = newId();
    },
    props: {
      keeping,
      list,
      onKeeping: (on) => {
        if (on) startKeeping();
        else stopKeeping();
        setKeeping(on);
        setList(kept());
      },
      onForget: (one) => {
        if (one === null) stopKeeping();
        else forget(one);
        if (one === id.current || one === null) id.current = newId();
        setKeeping(keeps());
        setList(kept());
      },
      onOpen: (c) => {
        id.current = c.id;
        apply(c);
      },
    },
  };
}

async function share(models, settings) {
  navigate(`/playground#${toLink(models, settings)}`, { replace: true });
  if (await toClipboard(location.href)) toast.ok(t('playground.share.done'));
  else toast.error(t('playground.share.failed'));
}

let lastUsed = ''; // as long as the tab lives: nothing is written down

// The one that was talked to last, else one that need not be started first.
function firstOf(names, status) {
  if (names.includes(lastUsed)) return lastUsed;
  const ready = new Set(
    (status?.serving.endpoints ?? []).filter((e) => e.replicas.ready > 0).map((e) => e.name),
  );
  return names.find((n) => ready.has(n)) ?? names[0];
}

function Room({ names, kinds, status }) {
  const [first] = useState(asked);
  const [settings, setSettings] = useState(first.settings);
  const [words, setWords] = useState('');
  const [code, setCode] = useState(false);
  const [drawer, setDrawer] = useState(false);
  const chat = useChat(() =>
    (first.models.length ? first.models : [firstOf(names, status)]).map((model) => ({
      model,
      messages: [],
    })),
  );
  const { panes, setPanes, running } = chat;
  const models = panes.map((p) => p.model);
  const set = useCallback((some) => setSettings((s) => ({ ...s, ...some })), []);
  const { body, wrong } = useMemo(() => readSettings(settings), [settings]);
  const request = useMemo(
    () => ({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
      ...(settings.probabilities ? { logprobs: true, top_logprobs: 5 } : {}),
    }),
    [body, settings.probabilities],
  );

  const clear = () => {
    chat.stop();
    keeping.anew();
    setPanes((list) => list.map((p) => ({ ...p, messages: [] })));
  };
  const keeping = useKept(chat, settings, (c) => {
    chat.stop();
    setSettings({ ...EMPTY, ...c.settings });
    setPanes(
      c.panes.map((p) => ({
        ...p,
        messages: p.messages.map((m) => (m.state === 'running' ? { ...m, state: 'stopped' } : m)),
      })),
    );
  });

  const open = panes.some((p) => openCalls(p.messages).length > 0);
  const bad = Object.keys(wrong)[0];
  const hint = bad
    ? t('playground.say.mend', { what: bad })
    : open
      ? t('playground.say.tools')
      : '';
  const now = useRef({});
  now.current = { models, system: settings.system, request, bad };
  const say = (content) => {
    if (bad || open || running) return;
    setWords('');
    lastUsed = models[0];
    chat.say(content, models, settings.system, request);
  };
  const onResend = useCallback((turn, words) => {
    const { models: m, system, request: r, bad: b } = now.current;
    if (!b) chat.sayAgain(turn, words, m, system, r);
  }, []);
  const regenerate = useMemo(
    () =>
      [0, 1].map((at) => (id) => {
        const { models: m, system, request: r, bad: b } = now.current;
        if (!b) chat.regenerate(at, id, m[at], system, r);
      }),
    [],
  );

  const choose = (at, model) => {
    setPanes((list) => list.map((p, i) => (i === at ? { ...p, model } : p)));
    if (at === 0) setQuery({ model });
  };
  const compare = () =>
    setPanes((list) =>
      list.length === 2
        ? list.slice(0, 1)
        : [
            ...list,
            { model: names.find((n) => n !== list[0].model) ?? list[0].model, messages: [] },
          ],
    );
  const askClear = () =>
    confirmDelete({
      what: t('playground.clear'),
      title: t('playground.clear.ask'),
      verb: t('playground.clear'),
      action: clear,
    });

  const side = <Settings settings={settings} set={set} wrong={wrong} kept={keeping.props} />;
  return (
    <>
      <Spoken panes={panes} running={running} />
      <div class="pg-bar-top">
        {panes.map((p, i) => (
          <Select
            key={i}
            hideLabel
            class="pg-model"
            value={p.model}
            disabled={running}
            label={t(
              panes.length === 1
                ? 'playground.model'
                : i
                  ? 'playground.model.second'
                  : 'playground.model.first',
            )}
            options={names.includes(p.model) ? names : [p.model, ...names]}
            onChange={(v) => choose(i, v)}
          />
        ))}
        <Button class="pg-only-narrow" icon="sliders" onClick={() => setDrawer(true)}>
          {t('playground.settings')}
        </Button>
        <div class="pg-acts pg-bar-acts">
          <Button
            small
            kind="quiet"
            aria-pressed={panes.length === 2}
            disabled={running}
            onClick={compare}>
            {t('playground.compare')}
          </Button>
          <Button small kind="quiet" icon="terminal" onClick={() => setCode(true)}>
            {t('playground.code')}
          </Button>
          <Button small kind="quiet" icon="link" onClick={() => share(models, settings)}>
            {t('playground.share')}
          </Button>
          <Button
            small
            kind="quiet"
            icon="trash"
            onClick={askClear}
            disabled={panes.every((p) => p.messages.length === 0)}>
            {t('playground.clear')}
          </Button>
        </div>
      </div>
      <div class="pg-body">
        <div class="pg-main">
          <div class={`pg-panes pg-panes-${panes.length}`}>
            {panes.map((p, i) => {
              const kind = whatItDoes(kinds.get(p.model));
              return (
                <Pane
                  key={i}
                  pane={p}
                  busy={running}
                  label={p.model}
                  onRegenerate={regenerate[i]}
                  onResend={onResend}
                  onExample={say}
                  onTools={(results) =>
                    chat.answerTools(i, results, p.model, settings.system, request)
                  }>
                  {kind !== 'chat' && p.messages.length === 0 && (
                    <NotChat model={p.model} kind={kind} />
                  )}
                </Pane>
              );
            })}
          </div>
          <Composer
            text={words}
            onText={setWords}
            onSend={() => say(words)}
            onStop={chat.stop}
            running={running}
            hint={hint}
            disabled={Boolean(hint)}
          />
        </div>
        <aside class="pg-side" aria-label={t('playground.settings')}>
          {side}
        </aside>
      </div>
      {drawer && (
        <Dialog side title={t('playground.settings')} onClose={() => setDrawer(false)}>
          {side}
        </Dialog>
      )}
      {code && (
        <CodeDialog
          onClose={() => setCode(false)}
          body={bodyOf(
            models[0],
            settings.system,
            toShow(panes[0].messages, words || t('playground.example.1'), Boolean(words)),
            request,
          )}
        />
      )}
    </>
  );
}

function Inside() {
  const served = useApi('/v1/models');
  const status = useApi('/api/v1/status');
  const endpoints = useApi(whole('/api/v1/endpoints'));
  const registered = useApi(whole('/api/v1/models'));
  const kinds = useMemo(() => {
    const tasks = new Map((registered.data ?? []).map((m) => [m.name, m.tasks]));
    return new Map((endpoints.data ?? []).map((e) => [e.name, tasks.get(e.targets[0]?.model)]));
  }, [endpoints.data, registered.data]);
  if (served.error) return <ErrorNote error={served.error} retry={served.reload} />;
  if (!served.data || (!status.data && !status.error)) return <Loading rows={6} />;
  const names = served.data.data.map((m) => m.id);
  if (names.length === 0)
    return (
      <Empty
        icon="playground"
        title={t('playground.none.title')}
        text={t('playground.none.text')}
        action={
          <Button kind="primary" href="/models">
            {t('playground.none.action')}
          </Button>
        }
      />
    );
  return <Room names={names} kinds={kinds} status={status.data} />;
}

export default function Playground() {
  const why = !can('developer') ? 'viewer' : !can('chat') ? 'key' : null;
  if (why)
    return (
      <Page title={t('playground.title')}>
        <Empty
          icon="playground"
          title={t(`playground.${why}.title`)}
          text={t(`playground.${why}.text`)}
        />
      </Page>
    );
  return (
    <Page title={t('playground.title')} wide>
      <div class="pg">
        <Inside />
      </div>
    </Page>
  );
}

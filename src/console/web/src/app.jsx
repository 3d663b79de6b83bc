// The whole: signing in, or the shell with the page that the address names.
import { useEffect, useRef, useState } from 'preact/hooks';
import { addText, lang, t, useLang } from './lib/i18n.js';
import { useTitle } from './lib/hooks.js';
import { HeldRoute, useRoute } from './lib/router.js';
import { can, loadSession, useSession } from './lib/session.js';
import { pages } from './pages.js';
import { Shell } from './shell/Shell.jsx';
import { SignIn } from './shell/SignIn.jsx';
import * as text from './text.js';
import { Button } from './ui/Button.jsx';
import { Questions } from './ui/Dialog.jsx';
import { Empty, ErrorNote } from './ui/Empty.jsx';
import { Page } from './ui/Page.jsx';
import { Loading } from './ui/Spinner.jsx';
import { Toasts } from './ui/Toast.jsx';

addText('app', text.app);
for (const prefix of ['ui', 'error', 'hint', 'signin', 'event']) addText(prefix, text[prefix]);

const loaded = new Map(); // page's name: its component

function Missing() {
  return (
    <Page title={t('app.missing')}>
      <Empty
        icon="help"
        title={t('app.missing_title')}
        text={t('app.missing_text')}
        action={
          <Button kind="primary" href="/">
            {t('app.to_overview')}
          </Button>
        }
      />
    </Page>
  );
}

// A page, fetched when it is first gone to. The last one stays,
// with the address that it was shown for, until the next is there.
function Current({ page, route }) {
  const [, setDrawn] = useState(0);
  const [error, setError] = useState(null);
  const shown = useRef(null);
  useEffect(() => {
    let gone = false;
    setError(null);
    if (!loaded.has(page.name))
      page.load().then(
        (module) => {
          loaded.set(page.name, module.default);
          if (!gone) setDrawn((n) => n + 1);
        },
        (e) => !gone && setError(e),
      );
    return () => {
      gone = true;
    };
  }, [page]);
  // the cloud was upgraded under us, or is not there: the files have other names now
  if (error)
    return (
      <Page title={page.title[lang()]}>
        <ErrorNote
          error={{ message: t('error.chunk'), hint: t('hint.chunk') }}
          retry={() => window.location.reload()}
        />
      </Page>
    );
  const there = loaded.has(page.name);
  if (there) shown.current = { name: page.name, route };
  if (shown.current === null)
    return (
      <div class="page">
        <Loading rows={6} />
      </div>
    );
  const { name, route: held } = shown.current;
  const Content = loaded.get(name);
  return (
    <HeldRoute.Provider value={there ? null : held}>
      <Content key={name} />
    </HeldRoute.Provider>
  );
}

function Inside() {
  const route = useRoute();
  const main = useRef(null);
  const page = pages.find((p) => p.name === route.name);
  const first = useRef(true);
  // a new page is a new start, for the eyes and for a screen reader
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [route.visit]);
  const allowed = page !== undefined && can(page.role ?? 'viewer');
  return (
    <Shell page={page} mainRef={main}>
      {allowed ? <Current page={page} route={route} /> : <Missing />}
    </Shell>
  );
}

function Starting({ error }) {
  useTitle('');
  return (
    <main class="starting">
      {error ? <ErrorNote error={error} retry={loadSession} /> : <Loading rows={1} />}
    </main>
  );
}

export function App() {
  const lang = useLang(); // all is drawn again in another language
  const { state, error, ended } = useSession();
  return (
    <>
      {state === 'in' && <Inside lang={lang} />}
      {state === 'out' && error === null && <SignIn ended={ended} lang={lang} />}
      {(state === 'loading' || error !== null) && <Starting error={error} lang={lang} />}
      <Toasts lang={lang} />
      <Questions lang={lang} />
    </>
  );
}

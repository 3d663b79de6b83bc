// Signing in: with a key of the API, or a member's name and password.
import { useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { useAction, useTitle } from '../lib/hooks.js';
import { signIn } from '../lib/session.js';
import { Button } from '../ui/Button.jsx';
import { ErrorNote, Note } from '../ui/Empty.jsx';
import { Choice, Form, TextInput } from '../ui/Form.jsx';
import { Mark } from '../ui/Icon.jsx';
import { LanguageMenu, ThemeMenu } from './Menus.jsx';

function missing(way, { key, login, password }) {
  if (way === 'key') return key.trim() === '' ? { key: t('signin.need_key') } : null;
  if (login.trim() === '') return { login: t('signin.need_login') };
  return password === '' ? { password: t('signin.need_password') } : null;
}

function told(way, error) {
  if (error.status === 429)
    return { message: t('signin.wait', { s: error.retryAfter ?? 1 }), hint: '' };
  if (error.status === 401)
    return { message: t(way === 'key' ? 'signin.wrong_key' : 'signin.wrong_password'), hint: '' };
  return error;
}

export function SignIn({ ended }) {
  useTitle(t('signin.title'));
  const form = useRef(null);
  const [way, setWay] = useState('key');
  const [typed, setTyped] = useState({ key: '', login: '', password: '' });
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const field = (name) => ({
    name,
    value: typed[name],
    error: wrong[name],
    onChange: (value) => setTyped((before) => ({ ...before, [name]: value })),
  });
  const [submit, busy] = useAction(async () => {
    const faults = missing(way, typed);
    setWrong(faults ?? {});
    setError(null);
    if (faults) {
      form.current.querySelector(`[name=${Object.keys(faults)[0]}]`).focus();
      return;
    }
    try {
      await signIn(
        way === 'key'
          ? { key: typed.key.trim() }
          : { login: typed.login.trim(), password: typed.password },
      );
    } catch (e) {
      setError(told(way, e));
    }
  });
  return (
    <div class="signin">
      <div class="signin-menus">
        <LanguageMenu />
        <ThemeMenu />
      </div>
      <main class="signin-box" ref={form}>
        <header class="signin-head">
          <Mark size={40} />
          <div>
            <h1>feitian</h1>
            <p class="muted">{t('signin.text')}</p>
          </div>
        </header>
        {ended && <Note>{t('signin.ended')}</Note>}
        <Form onSubmit={submit}>
          <Choice
            label={t('signin.how')}
            hideLabel
            value={way}
            onChange={(w) => {
              setWay(w);
              setWrong({});
              setError(null);
            }}
            options={[
              { value: 'key', label: t('signin.by_key') },
              { value: 'password', label: t('signin.by_password') },
            ]}
          />
          {way === 'key' ? (
            <TextInput
              key="key"
              type="password"
              label={t('signin.key')}
              hint={t('signin.key_hint')}
              autofocus
              {...field('key')}
            />
          ) : (
            <>
              <TextInput
                key="login"
                label={t('signin.login')}
                autocomplete="username"
                autocapitalize="none"
                {...field('login')}
              />
              <TextInput
                key="password"
                type="password"
                label={t('signin.password')}
                autocomplete="current-password"
                {...field('password')}
              />
            </>
          )}
          <ErrorNote error={error} />
          <Button type="submit" kind="primary" busy={busy} class="signin-go">
            {t('signin.submit')}
          </Button>
        </Form>
      </main>
    </div>
  );
}

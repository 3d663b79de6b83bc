// Who is signed in, and what that one may do. The cookie is HttpOnly: only the cloud reads it.
import { api, onSignedOut } from './api.js';
import { setCurrency } from './i18n.js';
import { createStore } from './store.js';

const ROLES = ['viewer', 'developer', 'admin', 'operator'];

// state: 'loading', 'out', 'in'. me: as GET /api/v1/me, with the project's name.
const session = createStore({ state: 'loading', me: null, error: null, ended: false });

export const useSession = () => session.use();
export const useMe = () => session.use().me;
export const getMe = () => session.get().me;

// can('admin'): a role or more; can('chat', 'files'): every one of
// these actions. Only to show what is of use: the cloud checks.
export function can(...wanted) {
  const me = session.get().me;
  if (me === null) return false;
  return wanted.every((word) => {
    const role = ROLES.indexOf(word);
    if (role >= 0) return ROLES.indexOf(me.role) >= role;
    const actions = me.key?.actions;
    return (
      !Array.isArray(actions) ||
      actions.length === 0 ||
      actions.includes(word) ||
      actions.includes('*')
    );
  });
}

async function describe(me) {
  const settings = await api.get('/api/v1/settings', { quiet: true }).catch(() => null);
  if (settings?.currency) setCurrency(settings.currency);
  return { ...me, project: me.project ?? { id: '', name: '' } };
}

// At the start, and after a change of one's own name or rights.
export async function loadSession() {
  try {
    const { me } = await api.get('/api/v1/session', { quiet: true });
    const known = me && (await describe(me));
    session.set({ state: known ? 'in' : 'out', me: known, error: null, ended: false });
  } catch (error) {
    const out = error.status === 401 || error.status === 403;
    session.set({ state: 'out', me: null, error: out ? null : error, ended: false });
  }
}

// with: {key} or {login, password}. Throws ApiError.
export async function signIn(how) {
  await api.post('/api/v1/session', how, { quiet: true });
  await loadSession();
}

export async function signOut() {
  try {
    await api.del('/api/v1/session', undefined, { quiet: true });
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  session.set({ state: 'out', me: null, error: null, ended: false });
}

onSignedOut(() => {
  if (session.get().state === 'in')
    session.set({ state: 'out', me: null, error: null, ended: true });
});

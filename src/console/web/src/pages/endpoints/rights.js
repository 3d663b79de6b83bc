// Who may change an endpoint, and its removal.
import { api } from '../../lib/api.js';
import { t } from '../../lib/i18n.js';
import { can, getMe } from '../../lib/session.js';
import { confirmDelete, toast } from '../../ui/index.js';

export const pathOf = (e) => `/api/v1/endpoints/${encodeURIComponent(e.id)}`;

// Those of every project are the operator's; a project's own, its admins'.
export const mayChange = (e) =>
  can('operator') || (can('admin') && e.project !== null && e.project === getMe().project.id);

export async function removeEndpoint(e, after) {
  const done = await confirmDelete({
    what: e.name,
    typed: true,
    text: t('endpoints.remove.text'),
    action: () => api.del(pathOf(e)),
  });
  if (!done) return;
  toast.ok(t('endpoints.remove.done', { name: e.name }));
  after();
}

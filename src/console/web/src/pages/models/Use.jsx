// How the repository is fetched elsewhere.
import { t } from '../../lib/i18n.js';
import { Code, Section } from '../../ui/index.js';

export function Use({ kind, repo, rev }) {
  const data = kind === 'datasets';
  const at = rev === 'main' ? '' : `@${rev}`;
  const pull = `feitian hub pull ${data ? '--dataset ' : ''}${repo}${at} ./copy`;
  const more = `${data ? ', repo_type="dataset"' : ''}${at && `, revision="${rev}"`}`;
  const python = `# HF_ENDPOINT=${location.origin}
# HF_TOKEN=sk-ft-...
# HF_HUB_DISABLE_XET=1
from huggingface_hub import snapshot_download
snapshot_download("${repo}"${more})`;
  return (
    <Section title={t('models.use')}>
      <div class="md-use">
        <Code wrap text={pull} label={t('models.use.pull')} />
        <Code wrap text={python} label={t('models.use.python')} />
      </div>
    </Section>
  );
}

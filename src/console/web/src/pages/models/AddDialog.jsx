// How a model comes here. Fetching from other hubs
// is a command's: it runs for long, on the machine.
import { t } from '../../lib/i18n.js';
import { Button, Code, Dialog } from '../../ui/index.js';

const HF = `feitian model add hf:Qwen/Qwen3-0.6B-GGUF
feitian model add ms:Qwen/Qwen3-0.6B-GGUF`;
const FILE = 'feitian model add ./model.gguf --name my-model';

function elsewhere() {
  return `export FEITIAN_URL=${location.origin} FEITIAN_API_KEY=sk-ft-...
feitian hub push ./my-model my-model
feitian endpoint create chat --model default/my-model`;
}

export function AddDialog({ onNew, onClose }) {
  return (
    <Dialog title={t('models.add.title')} wide onClose={onClose}>
      <div class="md-add">
        {[
          ['hf', HF],
          ['file', FILE],
          ['elsewhere', elsewhere()],
        ].map(([id, code]) => (
          <section key={id}>
            <h3>{t(`models.add.${id}`)}</h3>
            <p class="muted">{t(`models.add.${id}.text`)}</p>
            <Code text={code} label={t(`models.add.${id}`)} />
          </section>
        ))}
        {onNew && (
          <section>
            <h3>{t('models.add.browser')}</h3>
            <p class="muted">{t('models.add.browser.text')}</p>
            <Button icon="plus" onClick={onNew}>
              {t('models.new')}
            </Button>
          </section>
        )}
      </div>
    </Dialog>
  );
}

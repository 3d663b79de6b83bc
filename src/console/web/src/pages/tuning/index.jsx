// Fine-tuning: /tuning, /tuning/new, /tuning/JOB.
import { addText } from '../../lib/i18n.js';
import { useRoute } from '../../lib/router.js';
import { Create } from './create.jsx';
import { Job } from './job.jsx';
import { List } from './list.jsx';
import * as text from './text.js';

addText('tuning', text);

export default function Tuning() {
  const { rest, query } = useRoute();
  if (rest[0] === 'new') return <Create model={query.get('model')} />;
  if (rest[0]) return <Job key={rest[0]} id={rest[0]} />;
  return <List />;
}

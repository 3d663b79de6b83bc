// Storage: /storage, /storage/BUCKET?prefix=...&tab=...&open=KEY.
import { addText } from '../../lib/i18n.js';
import { useRoute } from '../../lib/router.js';
import { Bucket } from './bucket.jsx';
import { Buckets } from './buckets.jsx';
import * as text from './text.js';
import { Tray } from './tray.jsx';

addText('storage', text);

export default function Storage() {
  const { rest } = useRoute();
  return (
    <>
      {rest[0] ? <Bucket key={rest[0]} bucket={rest[0]} /> : <Buckets />}
      <Tray />
    </>
  );
}

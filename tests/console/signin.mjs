// Signing in and out, and what is said when it cannot be.
import { assert, start, test } from './harness.mjs';

const cloud = await start();

test('an empty form says what is missing, at the field', async () => {
  const page = await cloud.open('/');
  await page.getByRole('button', { name: 'Sign in' }).click();
  const field = page.getByLabel('API key');
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.ok(await field.evaluate((e) => e === document.activeElement));
  await page.getByText('Enter a key.').waitFor();
});

test('it looks right everywhere, and can be used without eyes or mouse', async () => {
  const page = await cloud.open('/');
  const there = (p) => p.locator('.signin').waitFor();
  await there(page);
  await cloud.axe(page);
  await cloud.shots(page, 'signin', { wait: there });
});

// What the forms of the settings share: fields, faults, saving.
import { useRef, useState } from 'preact/hooks';
import { useAction } from '../../lib/hooks.js';

// first: the fields' values; check(fields) -> { name:
// what is wrong }; save(fields): throws ApiError.
// -> { form, fields, field(name), submit, busy, error, set }
export function useForm(first, check, save) {
  const form = useRef(null);
  const [fields, set] = useState(first);
  const [faults, setFaults] = useState({});
  const [error, setError] = useState(null);
  const [submit, busy] = useAction(async () => {
    const wrong = check(fields);
    setFaults(wrong);
    setError(null);
    const [name] = Object.keys(wrong);
    if (name !== undefined) {
      form.current?.querySelector(`[name=${name}]`)?.focus();
      return;
    }
    try {
      await save(fields);
    } catch (e) {
      setError(e);
    }
  });
  const field = (name) => ({
    name,
    value: fields[name],
    error: faults[name],
    onChange: (value) => set((before) => ({ ...before, [name]: value })),
  });
  return { form, fields, field, submit, busy, error, set };
}

// Only what differs, for a merge patch; null takes away.
export function changes(before, after) {
  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  return Object.fromEntries(
    Object.entries(after).filter(([name, value]) => !same(before?.[name], value)),
  );
}

// Fields: each has a label, perhaps a hint, perhaps what is wrong with it, tied together for screen
// readers. value and onChange(value): the value, never the event.
import { useId, useRef, useState } from 'preact/hooks';
import { droppedFiles } from '../lib/files.js';
import { t } from '../lib/i18n.js';
import { Button } from './Button.jsx';
import { Icon } from './Icon.jsx';

// For what is no field of below: children is a function
// of { id, 'aria-describedby', 'aria-invalid' }.
export function Field({
  label,
  hint,
  error,
  optional = false,
  hideLabel = false,
  children,
  class: own = '',
}) {
  const id = useId();
  const told = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  const bind = {
    id,
    'aria-describedby': told || undefined,
    'aria-invalid': error ? true : undefined,
  };
  return (
    <div class={`field ${error ? 'field-bad' : ''} ${own}`}>
      <label for={id} class={hideLabel ? 'hidden' : ''}>
        {label}
        {optional && <span class="muted"> · {t('ui.optional')}</span>}
      </label>
      {children(bind)}
      {hint && (
        <p class="field-hint muted" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

function own({ label, hint, error, optional, hideLabel, class: css }) {
  return { label, hint, error, optional, hideLabel, class: css };
}

function others({ label, hint, error, optional, hideLabel, class: css, value, onChange, ...rest }) {
  return rest;
}

// type: text, password, url, email, search, datetime-local, ...
export function TextInput({ type = 'text', value, onChange, ...props }) {
  return (
    <Field {...own(props)}>
      {(bind) => (
        <input
          {...bind}
          type={type}
          class="input"
          value={value ?? ''}
          autocomplete="off"
          spellcheck={false}
          onInput={(e) => onChange(e.currentTarget.value)}
          {...others(props)}
        />
      )}
    </Field>
  );
}

// onChange gets a number, or null for an empty field.
export function NumberInput({ value, onChange, unit, ...props }) {
  const [typed, setTyped] = useState(null);
  const shown = typed ?? value ?? '';
  const take = (text) => {
    setTyped(text);
    const n = text.trim() === '' ? null : Number(text);
    if (n === null || Number.isFinite(n)) onChange(n);
  };
  return (
    <Field {...own(props)}>
      {(bind) => (
        <span class="input-group">
          <input
            {...bind}
            type="number"
            class="input figures"
            inputmode="decimal"
            step="any"
            value={shown}
            onInput={(e) => take(e.currentTarget.value)}
            onBlur={() => setTyped(null)}
            {...others(props)}
          />
          {unit && <span class="input-unit muted">{unit}</span>}
        </span>
      )}
    </Field>
  );
}

export function TextArea({ value, onChange, rows = 4, mono = false, ...props }) {
  return (
    <Field {...own(props)}>
      {(bind) => (
        <textarea
          {...bind}
          class={mono ? 'input mono' : 'input'}
          rows={rows}
          value={value ?? ''}
          spellcheck={!mono}
          onInput={(e) => onChange(e.currentTarget.value)}
          {...others(props)}
        />
      )}
    </Field>
  );
}

// options: [{ value, label, disabled }] or texts; empty: the words of no choice, value ''.
export function Select({ value, onChange, options, empty, ...props }) {
  return (
    <Field {...own(props)}>
      {(bind) => (
        <span class="select">
          <select
            {...bind}
            value={value ?? ''}
            onChange={(e) => onChange(e.currentTarget.value)}
            {...others(props)}>
            {empty !== undefined && <option value="">{empty}</option>}
            {options.map((o) => {
              const option = typeof o === 'object' ? o : { value: o, label: o };
              return (
                <option key={option.value} value={option.value} disabled={option.disabled}>
                  {option.label}
                </option>
              );
            })}
          </select>
          <Icon name="down" size={14} />
        </span>
      )}
    </Field>
  );
}

export function Checkbox({ label, hint, value, onChange, disabled = false, error }) {
  const id = useId();
  return (
    <div class="check">
      <input
        type="checkbox"
        id={id}
        checked={!!value}
        disabled={disabled}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(e) => onChange(e.currentTarget.checked)}
      />
      <div>
        <label for={id}>{label}</label>
        {hint && (
          <p class="field-hint muted" id={`${id}-hint`}>
            {hint}
          </p>
        )}
        {error && <p class="field-error">{error}</p>}
      </div>
    </div>
  );
}

// One of a few, side by side. options: [{ value, label }].
export function Choice({ label, value, onChange, options, hint, hideLabel = false }) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend class={hideLabel ? 'hidden' : ''}>{label}</legend>
      <div class="choice-row">
        {options.map((o) => (
          <label key={o.value} class={o.value === value ? 'choice-one choice-on' : 'choice-one'}>
            <input
              type="radio"
              name={name}
              class="hidden"
              checked={o.value === value}
              onChange={() => onChange(o.value)}
            />
            {o.label}
          </label>
        ))}
      </div>
      {hint && <p class="field-hint muted">{hint}</p>}
    </fieldset>
  );
}

// Files by choice or dropped upon it. onFiles([File, ...]); of those in a folder that was dropped,
// `path` says where in it they were.
export function FileDrop({
  label,
  hint,
  onFiles,
  multiple = false,
  accept,
  disabled = false,
  folder = false,
}) {
  const id = useId();
  const input = useRef(null);
  const [over, setOver] = useState(false);
  const take = (list) => {
    const files = [...list];
    if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
    if (input.current) input.current.value = ''; // the same file again is a choice again
  };
  const drop = (e) => {
    e.preventDefault();
    setOver(false);
    if (!disabled) droppedFiles(e.dataTransfer).then(take);
  };
  return (
    <div
      class={over ? 'drop drop-over' : 'drop'}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}>
      <Icon name="upload" size={20} />
      <label for={id}>{label}</label>
      <input
        ref={input}
        id={id}
        type="file"
        class="hidden"
        multiple={multiple}
        accept={accept}
        disabled={disabled}
        webkitdirectory={folder || undefined}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(e) => take(e.currentTarget.files)}
      />
      <Button small disabled={disabled} onClick={() => input.current.click()}>
        {t(multiple ? 'ui.choose_files' : 'ui.choose_file')}
      </Button>
      {hint && (
        <p class="muted small" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

// A form that is sent by Enter too. actions: its buttons, below. error: of the whole.
export function Form({ onSubmit, children, actions, class: css = '', ...rest }) {
  return (
    <form
      class={`form ${css}`}
      novalidate
      onSubmit={(e) => {
        e.preventDefault();
        onSubmit();
      }}
      {...rest}>
      {children}
      {actions && <div class="form-actions">{actions}</div>}
    </form>
  );
}

// What goes with every request: system prompt, parameters, tools, the form of the answer; and what
// the browser keeps.
import { number, t } from '../../lib/i18n.js';
import {
  Button,
  Checkbox,
  Choice,
  confirmDelete,
  Field,
  Select,
  TextArea,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { PARAMS, rangeOf, readSchema, readTools } from './params.js';

const EXAMPLE_TOOLS = `[
  {
    "name": "get_weather",
    "description": "The weather in a city now",
    "parameters": {
      "type": "object",
      "properties": { "city": { "type": "string" } },
      "required": ["city"]
    }
  }
]`;

const EXAMPLE_SCHEMA = `{
  "type": "object",
  "properties": {
    "answer": { "type": "string" },
    "sure": { "type": "boolean" }
  },
  "required": ["answer", "sure"],
  "additionalProperties": false
}`;

// A part that may be folded.
function Part({ title, open, note, children }) {
  return (
    <details class="pg-part" open={open}>
      <summary>
        <span>{title}</span>
        {note && <span class="pg-part-note muted">{note}</span>}
      </summary>
      <div class="pg-part-body">{children}</div>
    </details>
  );
}

// A slider for what has a small range, and the number beside it. Nothing set: the model's own.
function Slider({ p, text, wrong, onChange }) {
  const low = p.min ?? p.above;
  return (
    <Field
      label={<code>{p.name}</code>}
      hint={t(`playground.param.${p.name}`)}
      class="pg-param"
      error={wrong && t(`playground.wrong.${wrong}`, { range: rangeOf(p) })}>
      {(bind) => (
        <span class="pg-slide">
          <input
            type="range"
            min={low}
            max={p.max}
            step={p.step}
            tabIndex={-1}
            aria-hidden="true"
            value={text || p.ph}
            class={text ? '' : 'pg-unset'}
            onInput={(e) => onChange(e.currentTarget.value)}
          />
          <input
            {...bind}
            class="input figures"
            inputMode="decimal"
            placeholder={t('playground.params.unset')}
            value={text}
            autocomplete="off"
            onInput={(e) => onChange(e.currentTarget.value)}
          />
          {text && (
            <Button
              small
              kind="quiet"
              icon="close"
              label={t('playground.params.reset', { name: p.name })}
              onClick={() => onChange('')}
            />
          )}
        </span>
      )}
    </Field>
  );
}

function Param({ p, text, wrong, onChange }) {
  const range = rangeOf(p);
  const hint = t(`playground.param.${p.name}`);
  const label = (
    <>
      <code>{p.name}</code>
      {range && <span class="muted small"> {range}</span>}
    </>
  );
  const error = wrong && t(`playground.wrong.${wrong}`, { range });
  if (p.kind === 'choice')
    return (
      <Select
        label={label}
        hint={hint}
        value={text}
        onChange={onChange}
        class="pg-param"
        empty={t('playground.params.default')}
        options={p.choices.slice(1)}
      />
    );
  if (p.kind === 'lines')
    return (
      <TextArea
        label={label}
        hint={hint}
        error={error}
        value={text}
        onChange={onChange}
        rows={2}
        mono
        class="pg-param"
      />
    );
  if (p.max <= 10) return <Slider p={p} text={text} wrong={wrong} onChange={onChange} />;
  return (
    <TextInput
      label={label}
      hint={hint}
      error={error}
      value={text}
      onChange={onChange}
      inputMode="numeric"
      placeholder={t('playground.params.default')}
      class="pg-param"
    />
  );
}

function Params({ settings, set, wrong }) {
  const one = (p) => (
    <Param
      key={p.name}
      p={p}
      text={settings.params[p.name] ?? ''}
      wrong={wrong[p.name]}
      onChange={(v) => set({ params: { ...settings.params, [p.name]: v } })}
    />
  );
  const n = PARAMS.filter((p) => settings.params[p.name]).length;
  return (
    <Part title={t('playground.params')} note={n > 0 && number(n)} open>
      {PARAMS.filter((p) => !p.more).map(one)}
      <details class="pg-more" open={PARAMS.some((p) => p.more && settings.params[p.name])}>
        <summary>{t('playground.params.more')}</summary>
        {PARAMS.filter((p) => p.more).map(one)}
      </details>
    </Part>
  );
}

const said = (wrong) => wrong && t(`playground.wrong.${wrong.key}`, wrong);

function Tools({ settings, set }) {
  const { value, wrong } = readTools(settings.tools);
  return (
    <Part
      title={t('playground.tools')}
      note={value && t('playground.tools.ok', { n: value.length })}
      open={settings.tools !== ''}>
      <TextArea
        label={t('playground.tools.label')}
        value={settings.tools}
        mono
        rows={6}
        error={said(wrong)}
        hint={t('playground.tools.help')}
        onChange={(tools) => set({ tools })}
      />
      {settings.tools.trim() === '' ? (
        <Button small icon="plus" onClick={() => set({ tools: EXAMPLE_TOOLS })}>
          {t('playground.tools.example')}
        </Button>
      ) : (
        <Choice
          label={t('playground.tools.choice')}
          value={settings.toolChoice}
          onChange={(toolChoice) => set({ toolChoice })}
          options={['auto', 'required', 'none'].map((v) => ({
            value: v,
            label: t(`playground.tools.choice.${v}`),
          }))}
        />
      )}
    </Part>
  );
}

function Format({ settings, set }) {
  const { wrong } = readSchema(settings.schema);
  const choose = (format) =>
    set({
      format,
      schema: format === 'schema' && !settings.schema ? EXAMPLE_SCHEMA : settings.schema,
    });
  return (
    <Part
      title={t('playground.format')}
      open={settings.format !== 'text'}
      note={settings.format !== 'text' && t(`playground.format.${settings.format}`)}>
      <Choice
        label={t('playground.format.label')}
        hideLabel
        value={settings.format}
        onChange={choose}
        options={['text', 'json', 'schema'].map((v) => ({
          value: v,
          label: t(`playground.format.${v}`),
        }))}
      />
      {settings.format === 'schema' && (
        <TextArea
          label={t('playground.schema.label')}
          mono
          rows={9}
          value={settings.schema}
          hint={t('playground.schema.help')}
          error={said(wrong)}
          onChange={(schema) => set({ schema })}
        />
      )}
    </Part>
  );
}

function Kept({ keeping, list, onKeeping, onOpen, onForget }) {
  const clear = async () => {
    const done = await confirmDelete({
      what: t('playground.keep.clear.what'),
      title: t('playground.keep.clear.ask'),
      action: () => onForget(null),
    });
    if (done) toast.ok(t('playground.keep.deleted'));
  };
  return (
    <Part title={t('playground.keep')} note={list.length > 0 && number(list.length)}>
      <Checkbox
        label={t('playground.keep.on')}
        hint={t('playground.keep.help')}
        value={keeping}
        onChange={(on) => (on || list.length === 0 ? onKeeping(on) : clear())}
      />
      {keeping && list.length === 0 && <p class="muted small">{t('playground.keep.none')}</p>}
      <ul class="pg-kept">
        {list.map((c) => (
          <li key={c.id}>
            <button type="button" class="row-link" onClick={() => onOpen(c)}>
              <span>{c.title}</span>
              <span class="muted small">
                <Time at={c.at / 1000} /> · {c.panes.map((p) => p.model).join(', ')}
              </span>
            </button>
            <Button
              small
              kind="quiet"
              icon="trash"
              label={t('playground.keep.delete', { title: c.title })}
              onClick={() => onForget(c.id)}
            />
          </li>
        ))}
      </ul>
      {list.length > 0 && (
        <Button small icon="trash" onClick={clear}>
          {t('playground.keep.clear')}
        </Button>
      )}
    </Part>
  );
}

export function Settings({ settings, set, wrong, kept }) {
  return (
    <div class="pg-settings">
      <TextArea
        label={t('playground.system')}
        rows={4}
        value={settings.system}
        placeholder={t('playground.system.ph')}
        onChange={(system) => set({ system })}
      />
      <Params settings={settings} set={set} wrong={wrong} />
      <Tools settings={settings} set={set} />
      <Format settings={settings} set={set} />
      <Part title={t('playground.display')}>
        <Checkbox
          label={t('playground.probabilities')}
          hint={t('playground.probabilities.help')}
          value={settings.probabilities}
          onChange={(probabilities) => set({ probabilities })}
        />
      </Part>
      <Kept {...kept} />
    </div>
  );
}

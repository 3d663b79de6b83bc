// Rows. On a phone each becomes a small card with its columns' titles beside the values.
//
//   columns: [{ key, title, render(row), sort(row), align: 'end', class }]; render: row[key] if it
//   is not said
//   rows: null while they are on their way. rowKey(row): default row.id
//   onRow(row) or rowHref(row): the first cell is a button or a link, and the whole row is clicked
//   sort: { key, desc } at first. empty: an <Empty>. more: { onMore, busy }: there are more
//   label: what the table is about, for screen readers
import { useMemo, useState } from 'preact/hooks';
import { nothing, t } from '../lib/i18n.js';
import { Link, navigate } from '../lib/router.js';
import { Button } from './Button.jsx';
import { Icon } from './Icon.jsx';
import { Loading } from './Spinner.jsx';

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === 'string' && typeof b === 'string')
    return a.localeCompare(b, undefined, { numeric: true });
  return a < b ? -1 : 1;
}

function Head({ column, sort, setSort }) {
  const on = sort?.key === column.key;
  const css = `${column.align === 'end' ? 'cell-end' : ''} ${column.class ?? ''}`;
  if (!column.sort)
    return (
      <th role="columnheader" scope="col" class={css}>
        {column.title}
      </th>
    );
  return (
    <th
      role="columnheader"
      scope="col"
      class={css}
      aria-sort={on ? (sort.desc ? 'descending' : 'ascending') : 'none'}>
      <button
        type="button"
        class="th-button"
        onClick={() =>
          setSort({ key: column.key, desc: on ? !sort.desc : column.align === 'end' })
        }>
        {column.title}
        <Icon
          name={on && !sort.desc ? 'sort-up' : 'sort-down'}
          size={12}
          class={on ? '' : 'icon-off'}
        />
      </button>
    </th>
  );
}

function Row({ row, columns, onRow, rowHref }) {
  const go = onRow ? () => onRow(row) : rowHref ? () => navigate(rowHref(row)) : undefined;
  const click = (e) => {
    const own = e.target.closest('a, button, input, select, label, [popover]');
    if (!own && window.getSelection().isCollapsed) go();
  };
  const cell = (column, i) => {
    const inside = column.render ? column.render(row) : row[column.key];
    if (i > 0 || !go) return inside;
    if (rowHref)
      return (
        <Link class="row-link" href={rowHref(row)}>
          {inside}
        </Link>
      );
    return (
      <button type="button" class="row-link" onClick={go}>
        {inside}
      </button>
    );
  };
  return (
    <tr role="row" class={go ? 'row-go' : ''} onClick={go ? click : undefined}>
      {columns.map((column, i) => {
        const inside = cell(column, i);
        return (
          <td
            key={column.key}
            role="cell"
            data-label={column.title}
            data-first={i === 0 ? '' : undefined}
            data-nothing={inside === nothing ? '' : undefined}
            class={`${column.align === 'end' ? 'cell-end figures' : ''} ${column.class ?? ''}`}>
            {inside}
          </td>
        );
      })}
    </tr>
  );
}

export function Table({
  columns,
  rows,
  rowKey = (row) => row.id,
  empty,
  sort: first = null,
  onRow,
  rowHref,
  label,
  more,
}) {
  const [sort, setSort] = useState(first);
  const sorted = useMemo(() => {
    const by = sort && columns.find((c) => c.key === sort.key)?.sort;
    if (!rows || !by) return rows;
    return [...rows].sort((a, b) => (sort.desc ? -1 : 1) * compare(by(a), by(b)));
  }, [rows, sort, columns]);
  if (!rows) return <Loading rows={5} />;
  if (rows.length === 0 && empty && !more) return empty;
  return (
    <>
      <div class="table-frame">
        <table role="table" class="table" aria-label={label}>
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((c) => (
                <Head key={c.key} column={c} sort={sort} setSort={setSort} />
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {sorted.map((row) => (
              <Row key={rowKey(row)} row={row} columns={columns} onRow={onRow} rowHref={rowHref} />
            ))}
          </tbody>
        </table>
      </div>
      {more && (
        <div class="table-more">
          <Button small busy={more.busy} onClick={more.onMore}>
            {more.title ?? t('ui.more_rows')}
          </Button>
        </div>
      )}
    </>
  );
}

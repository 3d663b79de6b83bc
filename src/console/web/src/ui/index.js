// All of ui/ by name: import { Page, Table } from '../../ui/index.js'.
export { Badge } from './Badge.jsx';
export { Button } from './Button.jsx';
export { Chart } from './Chart.jsx';
export { Code, Copy, CopyValue, toClipboard } from './Copy.jsx';
export { Crumbs } from './Crumbs.jsx';
export { confirmDelete, Dialog } from './Dialog.jsx';
export { Empty, ErrorNote, Note, Original } from './Empty.jsx';
export {
  Checkbox,
  Choice,
  Field,
  FileDrop,
  Form,
  NumberInput,
  Select,
  TextArea,
  TextInput,
} from './Form.jsx';
export { Icon } from './Icon.jsx';
export { Markdown } from './Markdown.jsx';
export { Menu, menuColumn } from './Menu.jsx';
export { Facts, Figures, Live, Page, Section, useFocusOn } from './Page.jsx';
export { Loading, Meter, Progress, Spinner } from './Spinner.jsx';
export { Table } from './Table.jsx';
export { TabPanel, Tabs } from './Tabs.jsx';
export { Time } from './Time.jsx';
export { toast } from './Toast.jsx';
export { Tooltip } from './Tooltip.jsx';

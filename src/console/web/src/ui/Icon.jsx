// Lines of lucide by our names. Only those named here are in the bundle; add what a page needs.
import {
  Activity,
  ArrowDown,
  ArrowLeft,
  ArrowUp,
  Bell,
  Boxes,
  Check,
  ChevronDown,
  ChevronLeft,
  ChevronRight,
  ChevronUp,
  CircleAlert,
  CircleCheck,
  CircleHelp,
  CircleX,
  Clock,
  Copy,
  Cpu,
  Database,
  Download,
  Ellipsis,
  ExternalLink,
  Eye,
  File,
  Folder,
  Gauge,
  Globe,
  HardDrive,
  House,
  Info,
  KeyRound,
  Languages,
  Layers,
  Link,
  ListTree,
  LogOut,
  Mail,
  Menu,
  MessageSquare,
  Monitor,
  Moon,
  Pause,
  Pencil,
  Play,
  Plus,
  RefreshCw,
  Rocket,
  ScrollText,
  Search,
  Send,
  Server,
  Settings,
  Share2,
  SlidersHorizontal,
  Square,
  Sun,
  Terminal,
  Trash2,
  TriangleAlert,
  Upload,
  User,
  Users,
  Wallet,
  Webhook,
  Workflow,
  Wrench,
  X,
} from 'lucide';

const icons = {
  activity: Activity,
  alerts: Bell,
  audit: ScrollText,
  back: ArrowLeft,
  box: Boxes,
  check: Check,
  clock: Clock,
  close: X,
  copy: Copy,
  cpu: Cpu,
  database: Database,
  down: ChevronDown,
  download: Download,
  edit: Pencil,
  endpoints: Workflow,
  external: ExternalLink,
  eye: Eye,
  file: File,
  folder: Folder,
  gauge: Gauge,
  globe: Globe,
  help: CircleHelp,
  info: Info,
  keys: KeyRound,
  language: Languages,
  layers: Layers,
  left: ChevronLeft,
  link: Link,
  logout: LogOut,
  mail: Mail,
  menu: Menu,
  models: Boxes,
  monitor: Monitor,
  moon: Moon,
  more: Ellipsis,
  nodes: Server,
  overview: House,
  pause: Pause,
  play: Play,
  playground: MessageSquare,
  plus: Plus,
  refresh: RefreshCw,
  requests: ListTree,
  right: ChevronRight,
  rocket: Rocket,
  search: Search,
  send: Send,
  settings: Settings,
  share: Share2,
  sliders: SlidersHorizontal,
  'sort-down': ArrowDown,
  'sort-up': ArrowUp,
  stop: Square,
  storage: HardDrive,
  sun: Sun,
  terminal: Terminal,
  tool: Wrench,
  trash: Trash2,
  tune: SlidersHorizontal,
  up: ChevronUp,
  upload: Upload,
  usage: Wallet,
  user: User,
  users: Users,
  webhook: Webhook,
  ok: CircleCheck,
  warn: TriangleAlert,
  bad: CircleX,
  error: CircleAlert,
};

// Decoration: what it means is said in words beside it. size: pixels.
export function Icon({ name, size = 16, class: own = '' }) {
  return (
    <svg
      class={`icon ${own}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false">
      {icons[name].map(([Tag, attributes], i) => (
        <Tag key={i} {...attributes} />
      ))}
    </svg>
  );
}

// Ours.
export function Mark({ size = 24 }) {
  return (
    <svg
      class="mark"
      width={size}
      height={size}
      viewBox="0 0 32 32"
      aria-hidden="true"
      focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="7" />
      <path
        d="M6 22.500c6.500 0 7-13 15.500-13 3 0 4.500 1.600 4.500 3.600 0 2.300-2 3.700-4.300 3.200"
        fill="none"
        stroke="#fff"
        stroke-width="2.600"
        stroke-linecap="round"
      />
      <path
        d="M11.500 24.500c4.500-.4 5.700-5.500 9.700-6"
        fill="none"
        stroke="#f0c987"
        stroke-width="2.200"
        stroke-linecap="round"
      />
    </svg>
  );
}

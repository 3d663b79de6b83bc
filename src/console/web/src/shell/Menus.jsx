// Theme, language and account: the menus of the top bar.
import { languages, setLang, t, useLang } from '../lib/i18n.js';
import { navigate } from '../lib/router.js';
import { signOut, useMe } from '../lib/session.js';
import { setTheme, themes, useThemeChoice } from '../lib/theme.js';
import { Menu } from '../ui/Menu.jsx';
import { toast } from '../ui/Toast.jsx';
import { pages } from '../pages.js';

const THEME_ICONS = { system: 'monitor', light: 'sun', dark: 'moon' };

export function ThemeMenu() {
  const choice = useThemeChoice();
  return (
    <Menu
      small={false}
      icon={THEME_ICONS[choice]}
      label={t('app.theme')}
      items={themes.map((name) => ({
        label: t(`app.theme_${name}`),
        checked: name === choice,
        onClick: () => setTheme(name),
      }))}
    />
  );
}

export function LanguageMenu() {
  const own = useLang();
  return (
    <Menu
      small={false}
      icon="language"
      label={t('app.language')}
      items={Object.entries(languages).map(([code, name]) => ({
        label: name,
        checked: code === own,
        onClick: () => setLang(code),
      }))}
    />
  );
}

export const whoOf = (me) => me.member?.name ?? me.key?.name ?? me.key?.id ?? '';

export function AccountMenu() {
  const me = useMe();
  const settings = pages.some((p) => p.name === 'settings');
  return (
    <Menu
      small={false}
      icon="user"
      label={`${t('app.account')}: ${whoOf(me)}`}
      items={[
        {
          label: whoOf(me),
          text: t(`app.role_${me.role}`),
          icon: 'user',
          disabled: true,
          onClick: () => {},
        },
        null,
        settings && {
          label: t('app.own_settings'),
          icon: 'settings',
          onClick: () => navigate('/settings/you'),
        },
        {
          label: t('app.licences'),
          icon: 'file',
          onClick: () => window.open('/console/licences.txt', '_blank', 'noopener'),
        },
        { label: t('app.sign_out'), icon: 'logout', onClick: () => signOut().catch(toast.error) },
      ]}
    />
  );
}

// Where it begins.
import { render } from 'preact';
import { App } from './app.jsx';
import { loadSession } from './lib/session.js';

render(<App />, document.getElementById('app'));
loadSession();

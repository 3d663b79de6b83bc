// Builds the console: src/ becomes files with their hash in their name, compressed as far as it
// goes, and one table of them for the C program.
//
// usage: node build.mjs OUT
//   OUT/node_modules is what the lock file says (npm ci). Written there:
//     site/         what browsers get: index.html, licences.txt, assets/NAME-HASH.EXT
//     assets.bin    all of them one behind the other: as they are, brotli, gzip
//     assets.inc    the rows of the table in console.c
//     manifest.json sizes, and which files each page needs (tests/console goes by it)
//
// The same sources and the same Node (its zlib compresses) give the same bytes: nothing here
// depends on time, folder or machine.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const WEB = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const OUT = path.resolve(process.argv[2] ?? '');
const SITE = path.join(OUT, 'site');
const SHEETS = ['tokens', 'base', 'layout', 'ui', 'table', 'layers', 'content', 'forms'];
const LOCK_LIBRARIES = Object.keys(JSON.parse(read('package.json')).dependencies).sort();
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

const require = createRequire(path.join(OUT, 'package.json'));
const esbuild = require('esbuild');

function read(name) {
  return fs.readFileSync(path.join(WEB, name), 'utf8');
}

const pageFolders = fs
  .readdirSync(path.join(WEB, 'src/pages'))
  .filter((name) => fs.existsSync(path.join(WEB, 'src/pages', name, 'index.jsx')))
  .sort();

// One style sheet for all: styles/ in their order, then each page's own. Pages do not import
// theirs, because a style sheet that comes after its page is a page that jumps.
const styles = {
  name: 'styles',
  setup(build) {
    build.onResolve({ filter: /^console\.css$/ }, () => ({
      path: 'console.css',
      namespace: 'styles',
    }));
    build.onLoad({ filter: /.*/, namespace: 'styles' }, () => {
      const own = SHEETS.map((n) => `./styles/${n}.css`);
      for (const page of pageFolders)
        for (const file of fs.readdirSync(path.join(WEB, 'src/pages', page)).sort())
          if (file.endsWith('.css')) own.push(`./pages/${page}/${file}`);
      own.push('./styles/print.css');
      return {
        contents: ['uplot/dist/uPlot.min.css', ...own].map((n) => `@import "${n}";`).join('\n'),
        loader: 'css',
        resolveDir: path.join(WEB, 'src'),
      };
    });
  },
};

async function bundle() {
  const result = await esbuild.build({
    absWorkingDir: WEB,
    nodePaths: [path.join(OUT, 'node_modules')],
    entryPoints: [
      { in: 'src/main.jsx', out: 'main' },
      { in: 'src/early.js', out: 'early' },
      { in: 'console.css', out: 'console' },
      { in: 'src/icon.svg', out: 'icon' },
    ],
    plugins: [styles],
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['chrome123', 'firefox125', 'safari17.5'],
    minify: true,
    charset: 'utf8',
    legalComments: 'none', // licences.txt has them whole
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define: { 'process.env.NODE_ENV': '"production"' },
    loader: { '.svg': 'copy' },
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    outdir: path.join(SITE, 'assets'),
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  if (result.warnings.length > 0) process.exit(1);
  return result;
}

// Chunks are all named "index-HASH.js" by esbuild, after their page's file: fine for machines.
function describe(meta) {
  const of = {};
  for (const [file, output] of Object.entries(meta.outputs)) {
    const name = path.basename(file);
    const needs = output.imports
      .filter((i) => i.kind === 'import-statement')
      .map((i) => path.basename(i.path));
    of[name] = { entry: output.entryPoint ?? null, needs };
    if (output.cssBundle !== undefined)
      throw new Error(
        `${output.entryPoint} imports a style sheet: put it beside the page, unimported`,
      );
  }
  return of;
}

function withNeeds(of, name, seen = []) {
  if (!seen.includes(name)) {
    seen.push(name);
    for (const next of of[name].needs) withNeeds(of, next, seen);
  }
  return seen;
}

function licences() {
  return LOCK_LIBRARIES.map((name) => {
    const folder = path.join(OUT, 'node_modules', name);
    const version = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
    const file = fs.readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
    const text = fs.readFileSync(path.join(folder, file), 'utf8');
    return `${name} ${version}\n${'='.repeat(72)}\n${text.trim()}\n`;
  }).join('\n\n');
}

function page(of) {
  const named = (word) => Object.keys(of).find((n) => n.startsWith(`${word}-`));
  const main = Object.keys(of).find((n) => of[n].entry === 'src/main.jsx');
  const preload = withNeeds(of, main)
    .slice(1)
    .map((n) => `<link rel="modulepreload" href="/console/assets/${n}">`)
    .join('');
  return read('src/index.html')
    .replace('{early}', named('early'))
    .replace('{style}', named('console'))
    .replace('{icon}', named('icon'))
    .replace('{main}', main)
    .replace('{preload}', preload);
}

function compress(data) {
  const c = zlib.constants;
  const br = zlib.brotliCompressSync(data, {
    params: { [c.BROTLI_PARAM_QUALITY]: 11, [c.BROTLI_PARAM_SIZE_HINT]: data.length },
  });
  const gzip = zlib.gzipSync(data, { level: 9 });
  gzip[9] = 255; // the operating system: not said
  return { br: br.length < data.length ? br : null, gzip: gzip.length < data.length ? gzip : null };
}

// Files are written anew only where they differ, so that nothing else is built again.
function write(name, data) {
  const file = path.join(OUT, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  if (!fs.existsSync(file) || !fs.readFileSync(file).equals(Buffer.from(data)))
    fs.writeFileSync(file, data);
}

function pack(site) {
  const rows = [];
  const parts = [];
  const sizes = {};
  let at = 0;
  const add = (data) => {
    if (data === null) return '{0, 0}';
    const row = `{${at}, ${data.length}}`;
    parts.push(data);
    at += data.length;
    return row;
  };
  for (const name of Object.keys(site).sort()) {
    const data = site[name];
    const { br, gzip } = compress(data);
    const hash = createHash('sha256').update(data).digest('hex').slice(0, 20);
    const type = TYPES[path.extname(name)];
    if (type === undefined) throw new Error(`no content type for ${name}`);
    rows.push(
      `{"${name}", "${type}", "${hash}", ${name.startsWith('assets/')}, ` +
        `{${add(data)}, ${add(br)}, ${add(gzip)}}},`,
    );
    sizes[name] = { bytes: data.length, br: (br ?? data).length, gzip: (gzip ?? data).length };
  }
  write('assets.bin', Buffer.concat(parts));
  write('assets.inc', rows.join('\n') + '\n');
  return sizes;
}

const result = await bundle();
const of = describe(result.metafile);
const site = {};
for (const file of result.outputFiles)
  site[`assets/${path.basename(file.path)}`] = Buffer.from(file.contents);
site['licences.txt'] = Buffer.from(licences());
site['index.html'] = Buffer.from(page(of));

fs.rmSync(SITE, { recursive: true, force: true });
for (const [name, data] of Object.entries(site)) write(`site/${name}`, data);
const files = pack(site);
const main = Object.keys(of).find((n) => of[n].entry === 'src/main.jsx');
const pages = {};
for (const name of Object.keys(of)) {
  const found = /^src\/pages\/(\w+)\/index\.jsx$/.exec(of[name].entry ?? '');
  if (found !== null) pages[found[1]] = withNeeds(of, name).sort();
}
const first = ['index.html', 'licences.txt']
  .slice(0, 1)
  .concat(
    [...withNeeds(of, main), ...Object.keys(of).filter((n) => /^(early|console)-/.test(n))]
      .sort()
      .map((n) => `assets/${n}`),
  );
write('manifest.json', JSON.stringify({ first, pages, files }, null, 1) + '\n');

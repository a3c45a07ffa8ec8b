import * as z from 'zod'
import { canonicalPath, filePath, flag, httpUrl, plainText, setting, text } from './setting.ts'

const CSP_LONGEST = 4096

/** CSP3 §2.2.1: directives between semicolons, in printable ASCII; a comma would start a second policy. */
const contentPolicy = text<string>('a policy on one line, default, or off', (value) => {
  if (value === 'default' || value === 'off') return { ok: value }
  if (/[\r\n]/.test(value)) return { code: 'config.csp-invalid', reason: 'the policy has a line break' }
  const directives = value.split(';').map((directive) => directive.trim())
  const isPolicy =
    value.length <= CSP_LONGEST &&
    /^[\x20-\x2b\x2d-\x7e]+$/.test(value) &&
    directives.every((directive) => directive === '' || /^[a-z][a-z-]*(?: |$)/i.test(directive)) &&
    /^[a-z]+-[a-z-]+(?: |$)|^sandbox(?: |$)/i.test(directives[0] ?? '')
  return isPolicy ? { ok: value.trim() } : { code: 'config.csp-invalid' }
})

export const frontendSettings = z.strictObject({
  dir: setting(filePath().optional(), {
    doc: 'Folder of the frontend’s files, with an index.html: it stands for every address that is no file (docs/frontend.md).',
    example: '/srv/www',
  }),
  upstream: setting(httpUrl('a URL such as http://spa:8080', { path: false }).optional(), { doc: 'Where the frontend is served from.' }),
  require_sign_in: setting(z.array(canonicalPath('config.route-path-invalid', true)).max(256).prefault([]), {
    doc: 'Pages below these paths need a session; without one, the browser is sent to sign in.',
    example: '[/app]',
  }),
  csp: setting(contentPolicy.prefault('default'), {
    doc: 'Content-Security-Policy of the pages in `dir`: a policy on one line, `default` (own origin only; inline styles, no inline script), or `off` (the pages bring their own by `<meta>`). Without `frame-ancestors` nobody may frame them, with `off` as well.',
    example: "default-src 'self'; connect-src 'self' https://tiles.example.com",
  }),
  immutable: setting(
    z.union([z.enum(['auto', 'off']), z.array(canonicalPath('config.route-path-invalid')).min(1).max(64)]).prefault('auto'),
    {
      doc: 'Which files in `dir` browsers keep for a year without asking again: `auto` (names with a content hash, as bundlers make them), `off`, or everything below these paths. Never a page.',
      example: '[/assets]',
    },
  ),
  source_maps: setting(flag().prefault(false), { doc: 'Serve `*.map` files in `dir`; they hold the sources. Otherwise 404.' }),
})

const COLOUR = "a colour in quotes, such as '#1f5fd0'"

const colour = text<string>(COLOUR, (value) =>
  /^#[0-9a-f]{6}$/i.test(value)
    ? { ok: value.toLowerCase() }
    : { code: 'config.value-invalid', reason: 'not a colour', fix: `Write ${COLOUR}.` },
)

const supportUrl = text<string>('a link such as https://help.example.com, mailto:help@example.com or /help', (value) => {
  const isLocal = /^\/(?![/\\])[\x21-\x7e]*$/.test(value)
  const url = URL.parse(value)
  const isLink = url !== null && ['https:', 'mailto:', 'tel:'].includes(url.protocol) && url.username === '' && /^[\x21-\x7e]+$/.test(value)
  return value.length <= 512 && (isLocal || isLink)
    ? { ok: value }
    : {
        code: 'config.value-invalid',
        reason: 'not a link that a page may lead to',
        fix: 'Write `https://…`, `mailto:…`, `tel:…`, or a path such as `/help`.',
      }
})

export const pagesSettings = z.strictObject({
  name: setting(plainText('a name', 80).optional(), { doc: 'Name of the application, on every page.', example: 'Acme Shop' }),
  accent: setting(colour.optional(), {
    doc: 'Colour of buttons, links and outlines. Text on it is black or white, and as text or line it is darkened or lightened, until it can be read (WCAG 2.2 AA).',
    example: "'#7a1fd0'",
  }),
  logo_file: setting(filePath().optional(), { doc: 'SVG or PNG of at most 64 KiB, shown above the text and made part of the page.' }),
  support: setting(
    z
      .strictObject({
        text: setting(plainText('a text', 160), { doc: 'Shown below the text.', example: 'Call 555-0100' }),
        url: setting(supportUrl.optional(), { doc: 'Where the text leads.', example: 'mailto:help@example.com' }),
      })
      .optional(),
    { doc: 'Where people find help.' },
  ),
  template_file: setting(filePath().optional(), {
    doc: 'HTML of your own for all of them, of at most 64 KiB, with `{{title}}`, `{{text}}`, `{{actions}}` and `{{request_id}}`, without script (docs/frontend.md, examples/branding.html).',
  }),
})

/** Which names never change their content: as bundlers hash them, none, or everything below these paths (canonical, lower case is kept). */
export type Immutable = 'auto' | 'off' | readonly string[]

/** Beside a file of these types its compressed siblings are looked for. By the name that was asked for: what a link leads to may be called anything. */
const TEXT_TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  htm: 'text/html; charset=utf-8',
  xhtml: 'application/xhtml+xml; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json; charset=utf-8',
  map: 'application/json; charset=utf-8',
  webmanifest: 'application/manifest+json; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
  xml: 'application/xml; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
  wasm: 'application/wasm',
  ico: 'image/vnd.microsoft.icon',
  ttf: 'font/ttf',
  otf: 'font/otf',
}

const extensionOf = (name: string): string =>
  name
    .slice(name.lastIndexOf('/') + 1)
    .match(/\.([a-z0-9]+)$/i)?.[1]
    ?.toLowerCase() ?? ''

/** undefined: none that is worth compressing. */
export const textTypeOf = (name: string): string | undefined => {
  const extension = extensionOf(name)
  return Object.hasOwn(TEXT_TYPES, extension) ? TEXT_TYPES[extension] : undefined
}

const PAGES: ReadonlySet<string> = new Set(['html', 'htm', 'xhtml'])
export const isPage = (name: string): boolean => PAGES.has(extensionOf(name))
/** Opened by itself, an SVG or XML file is a document, and may bring script. */
const isDocument = (name: string): boolean => isPage(name) || ['svg', 'xml'].includes(extensionOf(name))

const ASSETS: ReadonlySet<string> = new Set(
  'js mjs css map json wasm woff woff2 ttf otf eot png jpg jpeg gif webp avif svg ico mp3 mp4 webm webmanifest txt xml pdf br gz'.split(
    ' ',
  ),
)
/** A file that is missing, rather than an address that the frontend's own router knows (`/users/john.doe` is one). */
export const looksLikeAsset = (path: string): boolean => ASSETS.has(extensionOf(path))

/**
 * Conservative: a name taken for hashed that is not would be kept for a year, one that is missed is only asked for again. webpack, Parcel, Angular:
 * 8 to 64 of hex; Vite, Rollup, esbuild: exactly 8 of base64url or base32, with a capital and a digit. Never a date (`-20240131`), nor a word and its
 * number (`-Chapter1`, `-DSC_1234`).
 */
const HASHED =
  /[.-](?:(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}|(?![A-Za-z]+[_-]?[0-9]+\.)(?=[\w-]{0,7}[A-Z])(?=[\w-]{0,7}[0-9])[\w-]{8})(?:\.(?:chunk|bundle|module|min))?\.(?:js|mjs|css|json|wasm|woff2?|ttf|otf|eot|png|jpe?g|gif|webp|avif|svg|ico|mp[34]|webm)$/

/** @param path as asked for, starting with a slash */
export const isImmutable = (path: string, immutable: Immutable): boolean => {
  if (immutable === 'off' || isPage(path)) return false
  return immutable === 'auto' ? HASHED.test(path) : immutable.some((prefix) => path.startsWith(prefix === '/' ? '/' : `${prefix}/`))
}

/**
 * A page is never kept, not even one that is public: a shell that came without the Strict cookie (a link from elsewhere) fetches and shows what is
 * private all the same, and only `no-store` keeps the back button from showing it again after sign-out (browser-facts §10).
 */
export const cachePolicy = (path: string, immutable: Immutable): string => {
  if (isPage(path)) return 'no-store'
  return isImmutable(path, immutable) ? 'public, max-age=31536000, immutable' : 'no-cache'
}

/** No script or style of others; inline styles, because frameworks set them. Loads, posts and is framed by nobody else. */
const DEFAULT_CSP =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

/**
 * The header of the frontend's pages. Who may frame them is never left open by what a policy forgets to say: framing is refused unless
 * `frame-ancestors` is written.
 * @param setting `default`, `off` (the pages bring their own, by `<meta>`, where `frame-ancestors` means nothing), or a policy
 */
export const frontendCsp = (setting: string): string => {
  if (setting === 'default') return DEFAULT_CSP
  if (setting === 'off') return FRAMED_BY_NOBODY
  return /(?:^|;)\s*frame-ancestors(?:\s|;|$)/i.test(setting) ? setting : `${setting.replace(/[;\s]+$/, '')}; ${FRAMED_BY_NOBODY}`
}
const FRAMED_BY_NOBODY = "frame-ancestors 'none'"

/** What a file is sent with, beside what says how it is encoded and cached. */
export const fileHeaders = (name: string, policy: string, https: boolean): Readonly<Record<string, string>> => ({
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'cross-origin-resource-policy': 'same-origin',
  ...(isDocument(name) && { 'content-security-policy': policy }),
  // Windows that others opened lose their hold on it; those it opens itself (a payment, a sign-in elsewhere) still may answer.
  ...(isPage(name) && { 'cross-origin-opener-policy': 'same-origin-allow-popups' }),
  ...(https && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
})

export type Encoding = 'br' | 'gzip'

/** RFC 9110 §12.5.3: those the browser takes, the best first; at equal weight Brotli, which is smaller. */
export const acceptedEncodings = (header: string | undefined): readonly Encoding[] => {
  if (header === undefined) return []
  const weights = new Map<string, number>()
  for (const part of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    weights.set(name, q === undefined ? 1 : Number(q.slice(2)) || 0)
  }
  const weightOf = (encoding: Encoding): number => weights.get(encoding) ?? weights.get('*') ?? 0
  return (['br', 'gzip'] as const).filter((encoding) => weightOf(encoding) > 0).toSorted((a, b) => weightOf(b) - weightOf(a))
}

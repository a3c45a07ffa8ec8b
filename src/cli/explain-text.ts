import { painter } from './command.ts'
import { CONNECTION_WORDS, CORS_WORDS, LOCATION_WORDS, PASSING } from './explain-words.ts'
import type { Explanation, RouteExplanation } from './explanation.ts'
import { labelled, table, wrapped } from './text-table.ts'

export interface Page {
  /** Columns. */
  readonly width: number
  readonly coloured: boolean
}

/** Below this a table is a heap of syllables: one block per route reads better. */
const TABLE_WIDTH_MIN = 80

/** Who may come to the sign-in at all. */
const tenantText = (tenants: readonly string[] | null): string => (tenants === null ? '' : `, for people of ${tenants.join(', ')} alone`)

export const overviewText = (explained: Explanation, page: Page): string => {
  const { provider, routes } = explained
  const dim = (text: string): string => painter(page.coloured)('dim', text)
  const about = `${explained.public_url}: provider ${provider.profile} at ${provider.issuer}, client ${provider.client_id}${tenantText(provider.tenants)}`
  const rows = routes.map((route) => ({
    route: route.path,
    as: grantsOf(route).length === 0 ? route.principal : `${route.principal}, by ${grantsOf(route).join(' or ')}`,
    token: tokenText(route),
    who: shortened(route.allow.text),
    sees: route.upstream_sees.text,
  }))
  const body =
    routes.length === 0
      ? 'There are no routes.\n'
      : page.width < TABLE_WIDTH_MIN
        ? rows
            .map(({ route, as, token, who, sees }) =>
              [
                heading(route, page),
                labelled(
                  [
                    ['as', as],
                    ['token for', token],
                    ['lets in', who],
                    ['its log shows', sees],
                  ],
                  page.width,
                ),
              ].join(''),
            )
            .join('\n')
        : table(
            ['ROUTE', 'CALLED AS', 'TOKEN FOR', 'WHO GETS IN', 'ITS AUDIT LOG SHOWS'],
            rows.map(({ route, as, token, who, sees }) => [route, as, token, who, sees]),
            page.width,
          )
  const rest: [string, string][] = [
    ['elsewhere', frontendText(explained)],
    ['the gateway itself', `${explained.base_path} and below, /.well-known/sallyport and below`],
  ]
  const more = wrapped('With a route’s name: all about it. With a path: who claims it.', page.width).map((line) => `${dim(line)}\n`)
  return `${labelled([['gateway', about]], page.width, 0)}\n${body}\n${labelled(rest, page.width)}\n${more.join('')}`
}

const tokenText = ({ principal, grant, audience, scopes }: RouteExplanation): string => {
  if (principal === 'none') return '-'
  if (grant === 'static') return 'an API key'
  return [audience ?? '', ...scopes].filter(Boolean).join(' ') || 'none named'
}

const frontendText = ({ frontend }: Explanation): string => {
  if (!frontend) return '404: there is no frontend'
  const gate = frontend.require_sign_in.length === 0 ? '' : `; a session is needed below ${frontend.require_sign_in.join(', ')}`
  return `the frontend, without a token: ${frontend.kind === 'dir' ? `files of ${frontend.dir}` : frontend.upstream}${gate}`
}

const SHORT = 160
/** A rule over two hundred groups is told in full where its route is named. */
const shortened = (text: string): string => (text.length <= SHORT ? text : `${text.slice(0, SHORT - 1).trimEnd()}…`)

/** Everything about one route. */
export const routeText = (route: RouteExplanation, page: Page): string => {
  const { headers, limits } = route
  const { request, response } = headers
  const entries: readonly (readonly [string, string])[] = [
    ['path', `${route.path} and everything below it`],
    ['methods', `${route.methods.join(' ')}; others: 405`],
    ['upstream', route.upstream],
    ['its log shows', route.upstream_sees.text],
    ['callers', route.callers.map((caller) => CALLER_WORDS[caller]).join('; ')],
    ['principal', route.principal],
    ['grant', grantText(route)],
    ...(route.principal === 'none'
      ? []
      : ([
          ['audience', route.audience ?? 'none named'],
          ['scopes', route.scopes.join(' ') || 'none named'],
        ] as const)),
    ...(route.asked_as
      ? ([['asked as', askedText(route.asked_as)], ['', route.asked_as.note], ...tokensBeside(route.asked_as)] as const)
      : []),
    ...beside('who gets in', route.allow.lines),
    ...(route.allow.reads.length > 0 ? ([['looked up in', route.allow.reads.join('; ')]] as const) : []),
    ['CSRF', route.csrf.text],
    ['headers in', request.only ? `${PASSING.only}: ${request.only.join(', ')}` : PASSING.all],
    ['', `always removed: ${CONNECTION_WORDS}`],
    ['', `set by the gateway: ${request.set.join(', ')}`],
    ['', `Authorization: ${request.authorization.text}`],
    ['', `cookies: ${request.cookies.length === 0 ? 'none pass' : `${request.cookies.join(', ')} pass, no other`}`],
    ...Object.entries(request.identity).map(([header, claim]) => ['', `${header}: the user’s ${claim}, unsigned`] as const),
    ...(request.user_context
      ? ([
          ['', `${request.user_context.header}: signed, for ${request.user_context.audience}: ${request.user_context.claims.join(', ')}`],
        ] as const)
      : []),
    ['headers out', `Set-Cookie: ${response.set_cookie.length === 0 ? 'dropped' : `${response.set_cookie.join(', ')} pass, no other`}`],
    ['', CORS_WORDS],
    ['', `caching: ${response.cache.text}`],
    ['', `Location: ${LOCATION_WORDS}`],
    ['', `set by the gateway: ${response.set.join(', ')}`],
    ['limits', `body ${bytesText(limits.body_bytes)}, ${limits.in_flight} requests at once`],
    [
      '',
      `${timeText(limits.connect_timeout_ms)} to connect, ${timeText(limits.timeout_ms)} to answer, ${timeText(limits.idle_timeout_ms)} of silence`,
    ],
  ]
  return `${heading(route.name, page)}${labelled(entries, page.width)}`
}

const heading = (text: string, page: Page): string => `${wrapped(text, page.width).join('\n')}\n`

const beside = (label: string, lines: readonly string[]): readonly (readonly [string, string])[] =>
  lines.map((line, i) => [i === 0 ? label : '', line] as const)

const grantsOf = ({ grant, bearer_grant }: RouteExplanation): readonly string[] => [
  ...new Set([grant, bearer_grant].filter((one) => one !== null)),
]

const grantText = (route: RouteExplanation): string => {
  const { by, because } = route.grant_chosen
  const grants = grantsOf(route)
  return grants.length === 0 ? because : `${grants.join(', ')}${by === 'auto' ? ' (auto)' : ''}: ${because}`
}

const CALLER_WORDS = { session: 'browsers with a session', bearer: 'whoever brings an access token for the gateway' } as const

const tokensBeside = ({ subject, actor }: NonNullable<RouteExplanation['asked_as']>): readonly (readonly [string, string])[] => [
  ...(subject === null ? [] : ([['turned in', `the user’s token ${subject === '' ? 'of the sign-in' : `for ${subject}`}`]] as const)),
  ...(actor === null ? [] : ([['goes along', `the application’s token${actor === '' ? '' : ` for ${actor}`}, as the actor`]] as const)),
]

const askedText = ({ grant_type, resource, audience, scope }: NonNullable<RouteExplanation['asked_as']>): string =>
  Object.entries({ grant_type, resource, audience, scope })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${name === 'scope' ? `"${value}"` : value}`)
    .join(' ')

const bytesText = (bytes: number): string => {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`
  return `${bytes} bytes`
}
const timeText = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`)

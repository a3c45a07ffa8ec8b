import { loadSettings } from '../config/load.ts'
import type { GrantName } from '../domain/token.ts'
import { PROFILE_NAMES } from '../domain/profiles/profiles.ts'
import { roleSources } from '../policy/decide.ts'
import { RULE_WORDS, roleSourceText } from '../policy/explain.ts'
import { HARMLESS } from '../proxy/dropped-names.ts'
import { profileOf } from '../provider/profiles.ts'
import { page, table } from './docs-pages.ts'
import { overviewText, routeText } from './explain-text.ts'
import { AUTHORIZATION_WORDS, audienceNote, cacheWords, CONNECTION_WORDS, csrfWords, GRANT_WORDS, upstreamSees } from './explain-words.ts'
import { explanationOf } from './explanation.ts'

const GRANTS = [
  'refresh',
  'exchange',
  'on_behalf_of',
  'service_account',
  'pass_through',
  'client_credentials',
  'static',
] as const satisfies readonly GrantName[]
const KEPT: Readonly<Record<GrantName, string>> = {
  refresh: 'with the session',
  exchange: 'with the session; of a bearer caller in memory, never longer than its token',
  on_behalf_of: 'with the session; of a bearer caller in memory, never longer than its token',
  service_account: 'with the session',
  pass_through: 'not at all',
  client_credentials: 'in memory',
  static: 'in memory, read again when the file changes',
}
const PRINCIPALS = ['user', 'app', 'none'] as const
const CLIENT = 'shop'

/** Explained on the page, by the command itself. */
const EXAMPLE = `public_url: http://localhost:8080
provider: { profile: keycloak, issuer: 'https://id.example.com/realms/shop', client_id: ${CLIENT}, client_auth: [{ client_secret_file: secret }] }
frontend: { dir: /srv/www, require_sign_in: [/app] }
routes:
  - path: /api/orders
    upstream: http://orders:8080
    token: { principal: user, audience: api://orders, scopes: [orders.read] }
  - path: /api/reports
    upstream: http://reports:8080
    token: { principal: app, audience: api://reports }
    allow: { all_of: [{ roles: [analyst] }, { any_of: [{ groups: [finance] }, { claims: { dept: audit } }] }] }
  - path: /status
    upstream: http://status:8080
    token: { principal: none }`

/** docs/policy.md: hand-written sentences around the very words and lists that decide and that explain prints. */
export const policyDoc = (): string => {
  const loaded = loadSettings({ file: '/etc/sallyport/gateway.yaml', text: EXAMPLE, env: {} })
  if (loaded.kind === 'refused') throw new Error('the example of docs/policy.md is refused')
  const explained = explanationOf(loaded)
  const nested = explained.routes[1]
  const { request, response } = explained.headers
  const onTerminal = { width: 100, coloured: false }
  return page(
    'Who may call, and as whom the upstream is called',
    'src/policy, src/proxy and src/cli/docs-policy.ts',
    'Every route says two things: as whom its upstream is called (`token`), and who may use it (`allow`). Neither has a silent default that lets more in: a route without `token` is refused at start, and so is an application’s route without `allow`.',
    '## As whom',
    table(
      ['principal', 'grant that `auto` picks', 'what it is', 'the upstream’s log shows', '`Authorization`'],
      PRINCIPALS.map((principal) => [
        `\`${principal}\``,
        { user: '`refresh`', app: '`client_credentials`', none: '' }[principal],
        GRANT_WORDS[({ user: 'refresh', app: 'client_credentials', none: 'none' } as const)[principal]],
        upstreamSees(principal, '`client_id`'),
        AUTHORIZATION_WORDS[principal],
      ]),
    ),
    'What can be written as `token.grant`, and what `auto` means for callers that bring an access token of their own (`callers: [bearer]`):',
    table(
      ['grant', 'what it yields', 'the upstream’s log shows', 'kept'],
      GRANTS.map((grant) => [
        `\`${grant}\``,
        GRANT_WORDS[grant],
        upstreamSees(grant === 'client_credentials' ? 'app' : 'user', '`client_id`', grant),
        KEPT[grant],
      ]),
    ),
    table(
      ['profile', 'session, `user`', 'bearer, `user`', '`app`'],
      PROFILE_NAMES.map((name) => {
        const { user, bearer, app } = profileOf(name).grants
        return [`\`${name}\``, ...[user, bearer, app].map((grant) => (grant === undefined ? 'none' : `\`${grant}\``))]
      }),
    ),
    'A token that is made from another one is asked for without spending the session’s refresh token, so no two of them wait for each other: one call per audience, and the session’s own token is renewed once before them where it is stale. What a service account acts as comes from the verified claim of the session (`subject_claim`; an address only with `email_verified: true`), never from a request. What comes back is read where it can be read: a token of an application on a user’s route, or the other way round, is never attached (`token.principal-mismatch`, an audit event `token.failed` and `sallyport_broker_principal_mismatches_total`).',
    'The two kinds of token are never mixed up: there is no fallback from one to the other. An application’s token carries no limits of a user, so on such a route the gateway’s own rule is the only one there is.',
    'How the audience of a route is put to the provider follows from the profile (`provider.target` overrides it):',
    table(
      ['profile', 'how'],
      PROFILE_NAMES.map((name) => [`\`${name}\``, audienceNote(profileOf(name))]),
    ),
    '## Who gets in',
    'A rule is `signed_in` or a mapping with exactly one condition; several are wrapped in `any_of` or `all_of`, up to 8 deep. A route with `principal: user` and no rule lets in whoever is signed in; `principal: none` without a rule asks for no session at all.',
    table(
      ['condition', 'holds when', 'reads'],
      Object.values(RULE_WORDS).map(({ setting, holds, reads }) => [`\`${setting}\``, holds, reads]),
    ),
    'Rules are asked on every request and read the claims of the newest verified ID token (of the sign-in, or of the last refresh that brought one; a request that refreshes by itself is decided again by what came back), the granted scopes and the tenant of the session; of a caller that brings an access token ([callers.md](callers.md)), the claims, scopes and tenant of that verified token. Nothing else that a request says of itself counts, no header and no query. An application that calls by itself is let in only where `clients` names it; the conditions beside it narrow, none of them is enough. Names are compared exactly: upper and lower case differ, nothing is a pattern. A claim of another type than expected holds nothing: a text is not a list of words, a number is not its text, and one entry that is no text spoils a list of roles.',
    '### Where roles are found',
    table(
      ['profile', 'places in the ID token, any of them'],
      PROFILE_NAMES.map((name) => [
        `\`${name}\``,
        roleSources(name, 'CLIENT_ID')
          .map((source) => `\`${roleSourceText(source)}\``)
          .join(', '),
      ]),
    ),
    '**Keycloak** puts `realm_access` and `resource_access` into access tokens only, unless told otherwise: in the client scope `roles`, turn *Add to ID token* on for the mappers *realm roles* and *client roles*. Realm roles and roles of this very client count; a role that another client grants (`resource_access.account`) does not. A realm role and a role of the client with the same name cannot be told apart: give them different names. Groups need a *Group Membership* mapper with claim name `groups`; with *Full group path* they read `/staff/finance`.',
    '**Entra** puts app roles into `roles` and group ids into `groups`.',
    '**Other providers**: map what you need into `roles` or `groups`, or compare any claim with `claims`.',
    '### Too many groups',
    'A provider that has more groups than fit into a token leaves them out and says where to ask (`_claim_names`, or `hasgroups`). Unknown is not none: every rule whose answer depends on the groups is then refused with `policy.groups-overage`, whether it says `groups` or `claims: { groups: … }`. A rule that holds or fails without them is answered as ever. The cure is at the provider: app roles, or only those groups that are assigned to the application. At Entra the gateway can ask instead (`provider.groups.resolve`): all memberships at Microsoft Graph, with a token of the user’s, at the sign-in and again with a refresh when five minutes have passed; of them it keeps those that some rule names. When that fails, the rule refuses as without it.',
    '### What is audited',
    'Refused requests are answered 403 with `policy.denied` or `policy.groups-overage`; the upstream never hears of them. Each is one audit event, `access.denied`, with subject, tenant, session ref, route, principal and the condition that said no (`rule`: `role`, `group`, `scope`, `tenant`, `claim NAME`, `any-of`); never a value of a claim. Whom a rule lets in is one audit event, `access.allowed`, for each reading of their claims (the rule is asked on every request; with the same claims the answer is the same); where the API is called as the user and whoever is signed in may, its own log says it. Every single request is in the access log. The browser is told neither the rule nor what was missing.',
    'A rule of the wrong shape refuses the start, with line and caret: an empty list, an unknown condition, two conditions in one mapping, a claim that should equal a mapping, nesting beyond 8.',
    `The CSRF guard stands before the rule. On a route with a session it is ${csrfWords(true)}. On one without: ${csrfWords(false)}.`,
    '## Headers',
    `From browser to upstream, whatever a route says, some headers never pass: ${CONNECTION_WORDS}; and these:`,
    names(request.removed),
    `and all that begin with these (but for ${[...HARMLESS].map((name) => `\`${name}\``).join(', ')}):`,
    names(request.removed_beginning),
    `The gateway then writes its own: ${list(nested?.headers.request.set ?? [])}. \`headers.request.only\` narrows what passes to a list; \`headers.request.cookies\` names the cookies that pass. The gateway’s own never do.`,
    'From upstream to browser these are removed:',
    names(response.removed),
    'and all that begin with these:',
    names(response.removed_beginning),
    `\`Set-Cookie\` passes only for the names in \`headers.response.set_cookie\`, without \`Domain\`, and never for the gateway’s cookies. Caching on routes with a session: ${cacheWords(true)}. On routes without: ${cacheWords(false)}.`,
    '## `sallyport explain`',
    'Says all of the above for a configuration, offline and without a secret: `sallyport explain --config FILE` for all routes, with a route’s name for all about one, with a path for who claims it and why. `-o json` has a stable shape. For this file',
    `\`\`\`yaml\n${EXAMPLE}\n\`\`\``,
    'it prints',
    `\`\`\`\n${overviewText(explained, onTerminal)}\`\`\``,
    `and for \`${nested?.name ?? ''}\``,
    `\`\`\`\n${nested ? routeText(nested, onTerminal) : ''}\`\`\``,
  )
}

const list = (all: readonly string[]): string => all.map((name) => `\`${name}\``).join(', ')
/** Long lists read better as a block. */
const names = (all: readonly string[]): string => {
  const lines: string[] = []
  for (const name of all) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + name.length < 100) lines[lines.length - 1] = `${last} ${name}`
    else lines.push(name)
  }
  return `\`\`\`\n${lines.join('\n')}\n\`\`\``
}

/** What can be wrong with a configuration, and its cure. Codes are stable; docs/config-errors.md is generated from this table; a test demands a case for each. */
export interface ConfigCodeDefinition {
  /** `warning`: the gateway starts; said at start and by `config check`. */
  readonly severity: 'error' | 'warning'
  readonly title: string
  readonly fix: string
}

const refused = (title: string, fix: string): ConfigCodeDefinition => ({ severity: 'error', title, fix })
const warned = (title: string, fix: string): ConfigCodeDefinition => ({ severity: 'warning', title, fix })

export const CONFIG_CODES = {
  // The file
  'config.file-unreadable': refused(
    'The configuration file cannot be read.',
    'Check the path after --config and the permissions of the file.',
  ),
  'config.file-too-large': refused('The configuration file is larger than 1 MiB.', 'Check that the path names the right file.'),
  'config.yaml-malformed': refused('The file is not well-formed YAML.', 'Check indentation, quotes and brackets at the place shown.'),
  'config.yaml-tab': refused('A line is indented with a tab.', 'Indent with spaces.'),
  'config.yaml-documents': refused('The file holds more than one YAML document.', 'Keep one document: remove the `---` and what follows.'),
  'config.yaml-too-complex': refused('The file is nested too deeply, or its aliases expand to too much.', 'Write repeated parts out.'),
  'config.key-duplicate': refused('A key is written twice.', 'Keep one of the two.'),
  'config.key-forbidden': refused('This key is never allowed.', 'Remove it, or choose another name.'),
  'config.key-unknown': refused('There is no such setting.', 'See docs/settings.md, or remove the key.'),
  'config.value-missing': refused('A setting that is needed is missing.', 'Add it.'),
  'config.value-type': refused('The value has the wrong type.', 'See docs/settings.md for what is expected.'),
  'config.value-invalid': refused('The value is not one that this setting takes.', 'See docs/settings.md for what is expected.'),
  'config.not-supported-yet': refused(
    'This is planned and not supported by this release.',
    'Remove it, or choose what docs/settings.md lists.',
  ),
  // References and secrets
  'config.reference-malformed': refused('This is not a reference.', 'Write `${env:NAME}` or `${file:/path}`.'),
  'config.reference-unquoted': refused(
    'Inside `{…}` and `[…]` YAML takes the braces of a reference for a mapping.',
    'Put the value in double quotes: `"${env:NAME}"`.',
  ),
  'config.env-unset': refused('The environment variable of a reference is not set, or empty.', 'Set it where the gateway starts.'),
  'config.reference-unreadable': refused(
    'The file of a reference cannot be read, is empty or is larger than 64 KiB.',
    'Check the path, the mount and the permissions.',
  ),
  'config.secret-literal': refused(
    'A secret is written into the file.',
    'Refer to it: `${env:NAME}` or `${file:/path}`; then change it where it is issued, for it has been on disk.',
  ),
  'config.url-credentials': refused(
    'A URL contains a password.',
    'Take it out of the URL: `password_file: /path`, or refer to it with `${file:/path}`; then change it.',
  ),
  // The gateway itself
  'config.public-url-insecure': refused('public_url is http, and its host is not this machine.', 'Use https; http is for localhost only.'),
  'config.public-url-not-origin': refused('public_url is more than an origin.', 'Keep scheme, host and port: `https://shop.example.com`.'),
  'config.base-path-invalid': refused('base_path is not a canonical path.', 'Write something like `/bff`.'),
  'config.listen-conflict': refused('Two listeners share an address.', 'Give each listener its own port or socket.'),
  'config.admin-over-tcp': refused(
    'The admin listener would be reachable over the network.',
    'Use a Unix socket such as `unix:/run/sallyport/admin.sock`, or `off`.',
  ),
  'config.proxies-everyone': warned(
    'trusted_proxies names everybody, so that any caller can choose its own address.',
    'Name the networks of your ingress only.',
  ),
  'config.tls-unused': refused(
    'A setting for the verification of TLS belongs to a connection without TLS.',
    'Write `https://` (`rediss://`), or remove the setting.',
  ),
  // Provider
  'config.issuer-choice': refused('The provider needs exactly one of `issuer` and `tenant`.', 'Keep the one that your profile uses.'),
  'config.issuer-insecure': refused(
    'The issuer is not https.',
    'Use https. For a provider on this machine only: `insecure_allow_http: true` with a loopback issuer.',
  ),
  'config.insecure-setting': warned('A setting that weakens the gateway is on.', 'Remove it outside development.'),
  'config.client-auth-absent': refused(
    'The gateway has nothing to prove itself with: public clients are not supported.',
    'Add `client_auth: [{ certificate_dir: /dir }]` or `client_auth: [{ client_secret_file: /path }]`.',
  ),
  'config.client-auth-choice': refused(
    'An entry of client_auth is exactly one credential.',
    'Keep one of certificate_dir, certificate_file, jwk_file, assertion_file, client_secret_file and client_secret, with a `method` that suits it.',
  ),
  'config.client-auth-half': refused(
    'A certificate needs its private key, and a private key its certificate.',
    'Give both of certificate_file and private_key_file.',
  ),
  'config.target-override': refused(
    'This provider has no parameter for an audience, and refuses or passes over one.',
    'Remove `target`: the profile knows.',
  ),
  'config.rotation-override': warned(
    'This provider does not rotate refresh tokens; with this, an answer that was lost ends sessions that could go on.',
    'Remove `rotation`: the profile knows.',
  ),
  'config.rotation-grace': refused(
    '`rotation: grace` needs `rotation_grace`, and `rotation_grace` needs `rotation: grace`.',
    'Write both, or neither.',
  ),
  'config.rotation-grace-short': warned(
    'A refresh token whose answer got lost is tried again after the grace only, which the provider takes for theft.',
    'Make the grace at the provider and `rotation_grace` longer than `provider.timeout` by 5 seconds, or `timeout` shorter.',
  ),
  'config.tenants-absent': refused(
    'People of every organisation would be let in.',
    'List those that may sign in: `tenants: [5c1d0f6e-…]`, by their tenant ids.',
  ),
  'config.tenants-unused': refused(
    'The issuer is of one tenant already, or the provider says nothing of organisations.',
    'Remove it: `tenants` goes with `tenant: organizations` or `common`, and with profiles that have a claim for it; `home_tenant` with the first two.',
  ),
  'config.home-tenant-absent': refused(
    'With several tenants nothing says where the client itself is registered, which its own tokens and its assertions need.',
    'Add `home_tenant: 5c1d0f6e-…`, the id of that tenant.',
  ),
  'config.audience-unavailable': refused(
    'The provider cannot issue a token for this audience.',
    'See docs/policy.md for how the profile names audiences.',
  ),
  'config.groups-unresolvable': refused(
    'This provider has no directory that the gateway could ask for groups.',
    'Remove `groups.resolve`: map the groups that rules need into the ID token.',
  ),
  // Session
  'config.session-timers': refused('The idle timeout is longer than the absolute one.', 'Make idle_timeout shorter than absolute_timeout.'),
  'config.keys-dir-absent': refused(
    'Sessions in Redis need sealing keys that all replicas share.',
    'Run `sallyport keys rotate --dir DIR` once and set `session.keys_dir: DIR`.',
  ),
  'config.redis-choice': refused('Redis is reached in exactly one way.', 'Keep one of `url` (one server), `sentinel` and `cluster`.'),
  'config.redis-certificate-half': refused(
    'A certificate for Redis needs its key, and a key its certificate.',
    'Give both of certificate_file and private_key_file, or none.',
  ),
  'config.upstream-certificate-half': refused(
    'A certificate for an upstream needs its key, and a key its certificate.',
    'Give both of certificate_file and private_key_file, or none.',
  ),
  'config.redis-password-choice': refused('The Redis password is given more than once.', 'Keep one of url, password and password_file.'),
  'config.redis-without-tls': warned('Redis on another machine is spoken to without TLS.', 'Use `rediss://`.'),
  'config.shutdown-grace-short': warned(
    'The process may end while an answer of the provider is under way: a rotated refresh token would be lost, and its session with it.',
    'Set `shutdown.grace` to more than `provider.timeout`.',
  ),
  'config.memory-store': warned(
    'Sessions are kept in the memory of one process: a restart signs everybody out, and a second replica does not know them.',
    'Set `session.store: { redis: … }`.',
  ),
  // Frontend and routes
  'config.frontend-choice': refused('The frontend comes from exactly one place.', 'Keep `dir` or `upstream`.'),
  'config.frontend-files-only': refused(
    'A setting about files belongs to a frontend that is served by another server.',
    'Remove it: the other server says so itself. It goes with `dir` only.',
  ),
  'config.csp-invalid': refused(
    'The policy is not one Content-Security-Policy.',
    'Write directives with `;` between them, on one line (`>-` folds several), or `default`, or `off`.',
  ),
  'config.scope-detaches': warned(
    'With this scope the provider begins a session of its own for the gateway: who signs out there, or is signed out by an administrator, stays signed in here.',
    'Remove it: refresh tokens come without it, and last as long as the session there.',
  ),
  'config.csp-framable': warned(
    'The policy lets other sites put the frontend’s pages into a frame, where clicks can be stolen.',
    "Write `frame-ancestors 'none'` or `'self'`, unless you embed the frontend on purpose.",
  ),
  'config.sign-in-path-claimed': refused(
    'A page path of require_sign_in belongs to a route or to the gateway itself, so that it would never be asked for.',
    'Remove it: routes say for themselves whom they let in.',
  ),
  'config.route-path-invalid': refused(
    'A path is not in canonical form.',
    'Write a prefix such as `/api/orders`: no trailing slash, no `%`, `*`, `;`, `//`, dot segments, query or fragment.',
  ),
  'config.route-path-reserved': refused('The path belongs to the gateway itself.', 'Choose another path, or another base_path.'),
  'config.route-duplicate': refused('Two routes have the same path.', 'Make one more specific, or merge them.'),
  'config.route-overlap': refused('Two routes could both claim a path.', 'Make the two paths differ in more than upper and lower case.'),
  'config.route-name-duplicate': refused('Two routes have the same name.', 'Names label metrics and logs: make each unique.'),
  'config.route-token-absent': refused(
    'The route does not say as whom the upstream is called.',
    'Add `token: { principal: user, audience: … }`, `principal: app` with an `allow` rule, or `principal: none`.',
  ),
  'config.route-allow-absent': refused(
    'An application token carries no limits of a user, so the route must say who may use it.',
    'Add `allow: signed_in`, or a rule by role, group, scope, claim or tenant.',
  ),
  'config.route-token-contradiction': refused(
    'A route that attaches no token asks for one.',
    'Keep `principal: none` alone, or choose `principal: user` or `principal: app`.',
  ),
  'config.route-token-for-nobody': refused(
    'The route names neither audience nor scopes, so its token would be for nobody in particular.',
    'Add `audience`, or `scopes`.',
  ),
  'config.route-grant-mismatch': refused(
    'This grant does not yield tokens of this principal.',
    'Leave `grant` away: `auto` knows. `user` takes refresh, exchange, on_behalf_of and service_account; with `callers: [bearer]` exchange, on_behalf_of and pass_through; `app` takes client_credentials and static.',
  ),
  'config.route-grant-unavailable': refused('The provider does not know this grant.', 'Leave `grant` away: `auto` knows.'),
  'config.route-key-file-absent': refused('The grant needs a key of its own.', 'Add `key_file: /path`.'),
  'config.route-subject-absent': refused(
    'For sessions, on_behalf_of turns in a token that was issued to the gateway, and nothing says how that one is asked for.',
    'Add `subject: { audience: …, scopes: […] }`, or use `grant: refresh`, which needs no such token.',
  ),
  'config.route-token-unused': refused('A setting of the token belongs to another grant.', 'Remove it.'),
  'config.route-key-header': refused(
    'An API key cannot travel in this header.',
    'Choose another, such as `X-API-Key`: this one frames the message, or is the gateway’s own.',
  ),
  'config.app-rights-for-everybody': warned(
    'Whoever is signed in may change things here with the rights of the application.',
    'Narrow `allow` to a role, group, scope or claim, or write `methods: [GET, HEAD]`.',
  ),
  'config.scopes-default-mixed': warned(
    '`.default` stands beside single scopes: Entra refuses both together.',
    'Keep `.default` alone, or better the single scopes alone.',
  ),
  'config.scopes-over-broad': warned(
    'The scope stands for far more than one route needs: whoever steals such a token has all of it.',
    'Name the single rights that the upstream checks.',
  ),
  'config.subject-claim-chosen': warned(
    'At some providers people choose this claim themselves, and the service account would act as whoever they write there.',
    'Use `email`, of which only a verified one counts, or a claim that administrators alone can set.',
  ),
  'config.token-for-two-audiences': warned(
    'One token would be for two APIs: each can call the other with it, as the user.',
    'Write one route per API, each with its own audience and scopes.',
  ),
  'config.allow-choice': refused(
    'A rule is exactly one condition.',
    'Wrap several in `any_of: [ … ]` or `all_of: [ … ]`, so that it is plain which is meant.',
  ),
  'config.allow-too-deep': refused('A rule is nested more than 8 deep.', 'Say the same with fewer levels of any_of and all_of.'),
  // Callers, and what upstreams are told of them
  'config.bearer-audience-absent': refused(
    'The route takes access tokens, and nothing says which are meant for the gateway.',
    'Set `provider.bearer: { audiences: [ … ] }`: the names under which the gateway is registered as an API.',
  ),
  'config.callers-for-nobody': refused(
    'The route asks nobody who they are, so that there is nothing to bring an access token for.',
    'Remove `callers`, or add an `allow` rule.',
  ),
  'config.clients-unused': warned(
    'A rule names applications, and the route takes no access tokens: nobody will ever be let in by it.',
    'Add `bearer` to `callers`, or remove `clients`.',
  ),
  'config.identity-of-nobody': refused(
    'The upstream should be told who calls, on a route that asks nobody who they are.',
    'Add an `allow` rule such as `signed_in`, or remove the setting.',
  ),
  'config.identity-unsigned': warned(
    'The upstream is told who calls in headers without a signature: whoever reaches it past the gateway can say the same.',
    'Use `user_context: signed`, or make sure that nobody but the gateway reaches the upstream.',
  ),
  'config.identity-header': refused(
    'This header name cannot carry who calls: it means something else on the way, is written by the gateway, or is named twice.',
    'Choose a name of letters, digits and hyphens, such as `X-User`.',
  ),
  'config.context-audience-absent': refused(
    'A signed user context is for one audience, and the route names none.',
    'Add `audience` to the route’s `token`.',
  ),
  'config.context-keys-absent': refused(
    'A signed user context needs signing keys that all replicas share.',
    'Run `sallyport keys rotate --dir DIR` once, with a folder of its own, and set `user_context: { keys_dir: DIR }`.',
  ),
  'config.context-claim-reserved': refused('This claim of a user context is written by the gateway itself.', 'Remove the name.'),
  'config.cookie-of-gateway': refused('The cookies of the gateway are never passed on.', 'Remove the name.'),
} as const satisfies Record<string, ConfigCodeDefinition>

export type ConfigCode = keyof typeof CONFIG_CODES

import type { AppAsk, BearerAsk, Route, TokenHeader, UserAsk } from '../domain/route.ts'
import type { ProfileName } from '../domain/profile.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Millis } from '../kernel/time.ts'
import type { ListenAddress } from './setting.ts'
import type { Rate } from './units.ts'

/** What the process is built from: plain data with units in the names, secrets as `Secret`, file paths absolute. */
export interface Settings {
  /** An origin. */
  readonly publicUrl: URL
  /** No trailing slash. */
  readonly basePath: string
  readonly listen: {
    readonly public: ListenAddress
    readonly ops: ListenAddress
    readonly admin: ListenAddress | 'off'
    /** CIDR notation. */
    readonly trustedProxies: readonly string[]
    readonly tls: { readonly certificateFile: string; readonly privateKeyFile: string } | undefined
  }
  readonly providers: { readonly default: ProviderSettings }
  readonly apps: { readonly default: { readonly provider: 'default' } }
  /** undefined: no limit. */
  readonly login: { readonly rate: { readonly perAddress: Rate | undefined; readonly global: Rate | undefined } }
  readonly session: SessionSettings
  readonly frontend: FrontendSettings | undefined
  readonly pages: PagesSettings
  readonly userContext: UserContextSettings
  readonly routes: readonly RouteSettings[]
  readonly telemetry: {
    readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
    readonly audit: { readonly kind: 'stdout' } | { readonly kind: 'file'; readonly file: string }
  }
  readonly shutdown: { readonly delayMs: Millis; readonly graceMs: Millis }
}

export interface ProviderSettings {
  readonly profile: ProfileName
  /** As written, or as the profile has it: with the tenant, or a word for several, in its place. */
  readonly issuer: string
  readonly tenant: string | undefined
  /** Who may sign in; undefined: whoever the issuer admits. */
  readonly tenants: readonly string[] | undefined
  readonly homeTenant: string | undefined
  readonly clientId: string
  /** The preferred one first; never empty. */
  readonly clientAuth: readonly ClientAuthSettings[]
  readonly credentialRotation: CredentialRotationSettings
  /** `openid` always among them, without duplicates. */
  readonly scopes: readonly string[]
  /** undefined: as the profile says. */
  readonly target: 'resource' | 'audience' | 'scope' | undefined
  readonly rotation: 'none' | 'tolerant' | 'grace' | 'strict' | undefined
  readonly rotationGraceMs: Millis | undefined
  /** Members that are undefined: as the profile says. */
  readonly assertion: {
    readonly audience: 'issuer' | 'token-endpoint' | undefined
    readonly key: 'kid' | 'x5t#S256' | 'x5t' | 'x5c' | undefined
    readonly type: 'JWT' | 'client-authentication+jwt' | undefined
    readonly rsa: 'PS256' | 'RS256' | undefined
  }
  /** Of groups that do not fit into the ID token. */
  readonly groups: { readonly resolve: boolean }
  readonly par: 'auto' | 'on' | 'off'
  readonly logout: { readonly backchannel: boolean; readonly frontchannel: boolean; readonly requireType: boolean }
  readonly bearer: BearerSettings
  readonly caFile: string | undefined
  readonly timeoutMs: Millis
  /** Only ever true with a loopback issuer. */
  readonly insecureAllowHttpIssuer: boolean
}

export interface CredentialRotationSettings {
  readonly probe: 'auto' | 'client-credentials' | 'refresh-token' | 'none'
  readonly acceptances: number
  readonly spreadMs: Millis
  readonly retryMs: Millis
  readonly activateAfterMs: Millis | undefined
  readonly keepPreviousMs: Millis
  readonly demoteAfter: number
}

interface CertificateAuth {
  readonly method: 'private_key_jwt' | 'tls_client_auth' | 'self_signed_tls_client_auth'
  readonly passphraseFile: string | undefined
}
export type ClientAuthSettings =
  | (CertificateAuth & { readonly kind: 'certificate-dir'; readonly dir: string })
  | (CertificateAuth & { readonly kind: 'certificate-file'; readonly certificateFile: string; readonly privateKeyFile: string })
  | { readonly kind: 'assertion-file'; readonly file: string }
  | { readonly kind: 'jwk-file'; readonly file: string }
  | { readonly kind: 'secret-file'; readonly file: string; readonly method: 'client_secret_basic' | 'client_secret_post' }
  | { readonly kind: 'secret'; readonly secret: Secret<'client-secret'>; readonly method: 'client_secret_basic' | 'client_secret_post' }

/** Access tokens that callers bring. */
export interface BearerSettings {
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly requireType: boolean
}

export interface UserContextSettings {
  /** undefined only with the memory store: keys of this process. */
  readonly keysDir: string | undefined
  readonly keysSettleMs: Millis
  readonly claims: readonly string[]
}

export interface SessionSettings {
  /** undefined only with the memory store: keys of this process. */
  readonly keysDir: string | undefined
  readonly keysSettleMs: Millis
  readonly idleTimeoutMs: Millis
  readonly absoluteTimeoutMs: Millis
  readonly recheckMs: Millis
  readonly recheckGraceMs: Millis
  /** Claims that the frontend may read. */
  readonly claims: readonly string[]
  readonly store: { readonly kind: 'memory' } | { readonly kind: 'redis'; readonly redis: RedisSettings; readonly graceMs: Millis }
  readonly l1: { readonly entriesMax: number; readonly bytesMax: number }
}

interface Address {
  readonly host: string
  readonly port: number
}
export type RedisServersSettings =
  | ({ readonly kind: 'one'; readonly database: number } & Address)
  | {
      readonly kind: 'sentinel'
      readonly name: string
      readonly nodes: readonly Address[]
      readonly username: string | undefined
      readonly passwordFile: string | undefined
    }
  | { readonly kind: 'cluster'; readonly nodes: readonly Address[] }

export interface RedisSettings {
  readonly servers: RedisServersSettings
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: Secret<'redis-password'> | undefined
  readonly passwordFile: string | undefined
  readonly caFile: string | undefined
  readonly certificateFile: string | undefined
  readonly privateKeyFile: string | undefined
  readonly serverName: string | undefined
  readonly keyPrefix: string
}

export type FrontendSettings = { readonly requireSignIn: readonly string[] } & (
  | {
      readonly kind: 'dir'
      readonly dir: string
      /** `default`, `off`, or one header value. */
      readonly csp: string
      /** Or canonical path prefixes. */
      readonly immutable: 'auto' | 'off' | readonly string[]
      readonly sourceMaps: boolean
    }
  | { readonly kind: 'upstream'; readonly upstream: URL }
)

export interface PagesSettings {
  readonly name: string | undefined
  /** `#rrggbb`, lower case. */
  readonly accent: string | undefined
  readonly support: { readonly text: string; readonly url: string | undefined } | undefined
  readonly logoFile: string | undefined
  readonly templateFile: string | undefined
}

/** A route as configured: the compiled table adds the key that names its token. */
export type RouteSettings = Omit<Route, 'token'> & { readonly token: RouteTokenSettings }
export type RouteTokenSettings =
  | ({
      readonly principal: 'user'
      /** What a session's token is asked for with; `auto` is resolved. */
      readonly grant: UserAsk['grant']
      /** What is made of a caller's own token; undefined: the route takes no bearer callers. */
      readonly bearerGrant: BearerAsk['grant'] | undefined
      /** Of the session's own token that is turned in; undefined: what the sign-in yields. */
      readonly subject: AskSettings | undefined
      /** Of the application's token that goes along. */
      readonly actor: AskSettings | undefined
      /** With `service_account`. */
      readonly keyFile: string | undefined
      readonly subjectClaim: string
    } & AskSettings)
  | ({
      readonly principal: 'app'
      readonly grant: AppAsk['grant']
      /** With `static`. */
      readonly keyFile: string | undefined
      readonly attach: TokenHeader | undefined
    } & AskSettings)
  | { readonly principal: 'none' }

export interface AskSettings {
  readonly audience: string | undefined
  /** Sorted, without duplicates. */
  readonly scopes: readonly string[]
}

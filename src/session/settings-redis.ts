import type { Secret } from '../kernel/secret.ts'

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

export interface SentinelSettings {
  /** Of the primary, as the sentinels know it. */
  readonly name: string
  readonly nodes: readonly RedisAddress[]
  /** Of the sentinels themselves, which have users of their own. */
  readonly username: string | undefined
  readonly passwordFile: string | undefined
}

/** Where the servers are. */
export type RedisServers =
  /** `redis://` or `rediss://`, host, port, database as the path. No password in it. */
  | { readonly url: string }
  | { readonly sentinel: SentinelSettings; readonly tls: boolean }
  /** Some nodes to ask first; the others are learned from them. */
  | { readonly cluster: { readonly nodes: readonly RedisAddress[] }; readonly tls: boolean }

/** Files are read again at each connection, so that what is rotated needs no restart. */
export interface RedisProof {
  readonly username: string | undefined
  /** As read with the configuration; a file wins over it. */
  readonly password?: Secret<'redis-password'> | undefined
  readonly passwordFile: string | undefined
  readonly caFile: string | undefined
  /** PEM, both or none: what we prove ourselves with in TLS. */
  readonly certificateFile?: string | undefined
  readonly privateKeyFile?: string | undefined
  /** For SNI and the certificates of all servers, when it is not the host they are reached by. */
  readonly serverName: string | undefined
}

export type RedisSettings = RedisServers & RedisProof & { readonly keyPrefix: string }

import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { connect } from 'node:tls'
import { AbstractConnector } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import type { RedisAccess } from './access-redis.ts'
import type { RedisAddress } from './settings-redis.ts'

/** Where to connect; asked at each connection. */
type Find = () => Promise<RedisAddress>

/**
 * How clients of this room reach a server. Those of ioredis listen to the first error of a socket only: a TLS 1.3 server that refuses our
 * certificate says so after the handshake, often as the second one, and an error that nobody hears ends the process.
 * @param find undefined: the host and port of the client's options
 * @param isReplaced asked again once the server answers: one that was frozen accepts connections, and is another's predecessor when it goes on
 */
export const connectorFor = (access: RedisAccess, find?: Find, isReplaced: (at: RedisAddress) => boolean = () => false) =>
  class extends AbstractConnector {
    readonly #options: RedisOptions
    #at: RedisAddress | undefined

    /** ioredis types it so; they are the options of the client that makes it. */
    constructor(options: unknown) {
      super(2_000)
      this.#options = options as RedisOptions
    }

    override async connect(): Promise<Socket> {
      this.connecting = true
      delete this.firstError
      const { host = '', port = 0 } = this.#options
      const at = find ? await find() : { host, port }
      // Disconnected while somebody was asked.
      if (!this.connecting) throw new Error('Connection is closed.')
      this.#at = at
      const tls = access.tls(at.host)
      const stream = tls ? connect({ ...at, ...tls }) : createConnection(at)
      stream.on('error', (error) => {
        this.firstError ??= error
      })
      this.stream = stream
      return stream
    }

    /** Only a primary will do behind sentinels: one of them may not have heard yet. */
    override check(info: { readonly role?: string }): boolean {
      if (find === undefined) return true
      return (info.role === undefined || info.role === 'master') && !(this.#at && isReplaced(this.#at))
    }
  }

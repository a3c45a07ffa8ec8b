import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

export interface TrustedProxies {
  /**
   * The part of the way that can be believed, client first, the peer of our socket last: the right-most address that is not a trusted proxy, and the
   * proxies behind it (RFC 7239 §8.1). Whatever stands further left could have been written by the client.
   */
  chainOf(request: IncomingMessage): readonly string[]
}

/** @param blocks CIDR blocks or single addresses; empty: the peer is the client, and nothing it says about others is read. Throws on a bad block. */
export const trustedProxies = (blocks: readonly string[]): TrustedProxies => {
  if (blocks.length === 0) return { chainOf: (request) => [addressOf(request.socket?.remoteAddress)] }
  const list = new BlockList()
  for (const block of blocks) addBlock(list, block)
  const isTrusted = (address: string): boolean => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
  return {
    chainOf: (request) => {
      const chain = [addressOf(request.socket?.remoteAddress)]
      const header = request.headers['x-forwarded-for']
      if (header === undefined || !isTrusted(chain[0] ?? '')) return chain
      const hops = (typeof header === 'string' ? header : header.join(',')).split(',')
      for (let i = hops.length - 1; i >= 0 && chain.length <= HOPS_MAX; i -= 1) {
        const hop = withoutPort(hops[i] ?? '')
        if (isIP(hop) === 0) return chain
        chain.unshift(hop)
        if (!isTrusted(hop)) return chain
      }
      return chain
    },
  }
}

const HOPS_MAX = 16

const addBlock = (list: BlockList, block: string): void => {
  const [address = '', prefix] = block.split('/')
  const family = isIP(address)
  if (family === 0) throw new Error('listen.trusted_proxies: not an address or CIDR block')
  const type = family === 6 ? 'ipv6' : 'ipv4'
  if (prefix === undefined) list.addAddress(address, type)
  else list.addSubnet(address, Number(prefix), type)
}

/** Dual-stack sockets show IPv4 peers as `::ffff:192.0.2.1`; Unix sockets show nothing. */
const addressOf = (address: string | undefined): string => {
  if (address === undefined) return 'unknown'
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** Some load balancers append ports: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
const withoutPort = (hop: string): string => {
  const text = hop.trim()
  if (text.startsWith('[')) return text.slice(1, Math.max(1, text.indexOf(']')))
  const colon = text.indexOf(':')
  const isV4WithPort = colon > 0 && colon === text.lastIndexOf(':')
  return addressOf(isV4WithPort ? text.slice(0, colon) : text)
}

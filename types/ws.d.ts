/** What @fastify/http-proxy's types name of `ws`. We open no WebSocket through it; @types/ws takes this file's place when we do. */
export interface ClientOptions {
  readonly handshakeTimeout?: number
}
export interface ServerOptions {
  readonly maxPayload?: number
}
export interface WebSocket {
  close(code?: number): void
}

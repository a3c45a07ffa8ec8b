/** Why the gateway does not start. The message holds nothing but words of ours and names from the configuration: it is printed as it is. */
export class StartError extends Error {
  override readonly name = 'StartError'
  /** `room.reason`; `….unavailable` where an address or another machine is the trouble. */
  readonly code: `${string}.${string}`
  constructor(code: StartError['code'], message: string) {
    super(message)
    this.code = code
  }
}

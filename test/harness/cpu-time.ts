/** Milliseconds of processor time that this process has used. For what must be linear: a busy machine makes it wait, and not work more. */
export const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

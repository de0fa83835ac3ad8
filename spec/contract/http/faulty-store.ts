import type { Fault } from "../../../runtime/base/fault.ts";
import type { Store } from "../../../runtime/store/store.ts";

/** Faults that take the place of a call while they are set. */
export type Faults = {
  find: Fault | null;
  open: Fault | null;
  attributes: Fault | null;
  stage: Fault | null;
  commit: Fault | null;
};

export function noFaults(): Faults {
  return { find: null, open: null, attributes: null, stage: null, commit: null };
}

/** A real store behind a hand that can stop it: for faults that the disk of this machine does not have. */
export function withFaults(store: Store, faults: Faults): Store {
  const orThrow = (fault: Fault | null): void => {
    if (fault !== null) throw fault;
  };
  return {
    uploads: store.uploads,
    contents: store.contents,
    scrub: store.scrub,
    state: () => store.state(),
    find(name) {
      orThrow(faults.find);
      return store.find(name);
    },
    open(manifest, startBytes, endBytes) {
      orThrow(faults.open);
      return store.open(manifest, startBytes, endBytes);
    },
    attributes(manifest) {
      orThrow(faults.attributes);
      return store.attributes(manifest);
    },
    stage(expectedBytes) {
      orThrow(faults.stage);
      return store.stage(expectedBytes);
    },
    async commit(change) {
      orThrow(faults.commit);
      return await store.commit(change);
    },
    vouch: (manifest) => store.vouch(manifest),
    whyMissing: (name) => store.whyMissing(name),
    nextToGo: (limit) => store.nextToGo(limit),
    usage: () => store.usage(),
    condition: () => store.condition(),
    segments: () => store.segments(),
    close: () => store.close(),
  };
}

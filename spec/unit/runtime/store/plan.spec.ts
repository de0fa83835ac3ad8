import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { AbsentMemo } from "../../../../runtime/store/absent-memo.ts";
import type { CatalogView } from "../../../../runtime/store/catalog-view.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { GroupBuffer } from "../../../../runtime/store/group.ts";
import { IdFilter } from "../../../../runtime/store/id-filter.ts";
import { makeScope, nameArtifact } from "../../../../runtime/store/identity.ts";
import { Leases } from "../../../../runtime/store/leases.ts";
import { ManifestCache } from "../../../../runtime/store/manifest-cache.ts";
import { GroupPlan, type Stamps } from "../../../../runtime/store/plan.ts";
import { PointerAge } from "../../../../runtime/store/pointer-age.ts";
import { ReadMarks } from "../../../../runtime/store/read-marks.ts";
import type { Change, Outcome } from "../../../../runtime/store/store.ts";
import { Quarantine, Tombstones } from "../../../../runtime/store/tombstones.ts";
import { versionOfWall } from "../../../../runtime/store/version.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";
import { SimIndexHome } from "../../../support/sim-index.ts";

const scope = makeScope("tenant", "space");
const name = nameArtifact("nx", scope, "key");
const clean: Change = { op: "clean", scope };
const remove: Change = { op: "delete", name, kind: "nx" };

function put(rule: "firstWins" | "lastWins", text = "body", of = name): Change {
  return {
    op: "put",
    name: of,
    rule,
    kind: "nx",
    sha256: null,
    attributes: {},
    writer: "",
    contentType: "application/octet-stream",
    body: new TextEncoder().encode(text),
  };
}

/** A committer's surroundings without a log: every group of changes is decided and published at once. */
function makeGroups() {
  const clock = new SimClock();
  // The groups below are of the first seconds of 1970.
  clock.jumpWall(-clock.wallMs());
  const disk = new SimDisk({
    calls: new SimCalls(),
    clock,
    random: seededRandom(1),
  });
  const files = new StoreFiles(disk, "/data");
  disk.makeFolder("/data/segments");
  files.createSegment(files.takeNumber()).close();
  const view: CatalogView = {
    cache: new ManifestCache(MiB),
    filter: new IdFilter(64 * MiB),
    absent: new AbsentMemo(),
    index: new SimIndexHome(new SimCalls()).open(),
    tombstones: new Tombstones(),
    quarantine: new Quarantine(),
    files,
    pointers: new PointerAge(clock, new ReadMarks(MiB)),
    leases: new Leases({ clock, bytesMax: MiB, capacityBytes: MiB }),
  };
  const stamps: Stamps = { seq: 0, version: 0 };
  const buffer = new GroupBuffer();
  return {
    view,
    stamps,
    decide(changes: readonly Change[], wallMs = 1_000): { plan: GroupPlan; ats: Outcome["at"][] } {
      buffer.reset(4_096, 0, 0);
      const plan = new GroupPlan({ view, buffer, stamps, origin: 9, wallMs, file: 1 });
      const ats = changes.map((change) => plan.decide(change).at);
      for (const row of plan.rows) {
        view.absent.drop(row.id);
        view.cache.put(row);
      }
      for (const { version } of plan.tombstones) view.tombstones.raise(scope.hashKey, version);
      return { plan, ats };
    },
  };
}

test("within a group the first writer wins where the rule says so, and the last one elsewhere", () => {
  const groups = makeGroups();
  const { plan, ats } = groups.decide([
    put("firstWins", "a"),
    put("firstWins", "bb"),
    put("lastWins", "ccc"),
  ]);
  expect(ats).toEqual(["stored", "exists", "stored"]);
  expect(plan.rows.map(({ sizeBytes }) => sizeBytes)).toEqual([1, 3]);
  expect(groups.decide([put("firstWins", "dddd")]).ats).toEqual(["exists"]);
});

test("an exists names the artifact that is there", () => {
  const groups = makeGroups();
  const { plan } = groups.decide([put("firstWins", "a")]);
  const again = new GroupPlan({
    view: groups.view,
    buffer: new GroupBuffer(),
    stamps: groups.stamps,
    origin: 9,
    wallMs: 1_000,
    file: 1,
  }).decide(put("firstWins", "bb"));
  expect(again).toMatchObject({ at: "exists", manifest: { seq: plan.rows[0]?.seq ?? -1 } });
});

test("a clean between two puts of a group takes the first and leaves the second", () => {
  const groups = makeGroups();
  const { plan, ats } = groups.decide([
    put("firstWins", "a"),
    clean,
    put("firstWins", "bb"),
    put("firstWins", "c"),
  ]);
  expect(ats).toEqual(["stored", "cleaned", "stored", "exists"]);
  const cleanedAt = plan.tombstones[0]?.version ?? 0;
  expect(plan.rows.map(({ version }) => version > cleanedAt)).toEqual([false, true]);
  expect(groups.decide([put("firstWins", "d")]).ats).toEqual(["exists"]);
});

test("a clean takes what earlier groups stored, of its own scope only", () => {
  const groups = makeGroups();
  const other = nameArtifact("nx", makeScope("tenant", "other"), "key");
  groups.decide([put("firstWins"), put("firstWins", "x", other)]);
  const { ats } = groups.decide([clean, put("firstWins"), put("firstWins", "y", other)]);
  expect(ats).toEqual(["cleaned", "stored", "exists"]);
});

test("a delete is seen by what follows it in the group, and a second one finds nothing", () => {
  const groups = makeGroups();
  const { ats } = groups.decide([remove, put("firstWins"), remove, remove, put("firstWins")]);
  expect(ats).toEqual(["absent", "stored", "deleted", "absent", "stored"]);
});

test("a quarantined artifact, and one whose file is missing, is written anew", () => {
  const groups = makeGroups();
  const { plan } = groups.decide([put("firstWins")]);
  groups.view.quarantine.add(name.id, plan.rows[0]?.version ?? 0);
  expect(groups.decide([put("firstWins")]).ats).toEqual(["stored"]);
  expect(groups.decide([put("firstWins")]).ats).toEqual(["exists"]);
  groups.view.files.removeSegment(1);
  expect(groups.decide([put("firstWins")]).ats).toEqual(["stored"]);
});

test("seqs have no gaps and versions only rise, also when the clock goes back", () => {
  const groups = makeGroups();
  const all: { seq: number; version: number }[] = [];
  for (const wallMs of [5_000, 5_000, 4_000, 0, 9_000, -1]) {
    const { plan } = groups.decide([put("lastWins"), clean, put("lastWins")], wallMs);
    all.push(...[...plan.rows, ...plan.tombstones].sort((a, b) => a.seq - b.seq));
  }
  expect(all.map(({ seq }) => seq)).toEqual(all.map((_, i) => i + 1));
  for (let i = 1; i < all.length; i++) {
    expect(all[i]!.version).toBeGreaterThan(all[i - 1]!.version);
  }
  expect(all[0]?.version).toBe(versionOfWall(5_000));
  expect(groups.stamps.version).toBeGreaterThan(versionOfWall(9_000));
});

test("a change that cannot be encoded leaves the group as it was", () => {
  const groups = makeGroups();
  const long = nameArtifact("nx", scope, "k".repeat(700));
  const buffer = new GroupBuffer();
  buffer.reset(4_096, 0, 0);
  const { view, stamps } = groups;
  const plan = new GroupPlan({ view, buffer, stamps, origin: 9, wallMs: 1, file: 1 });
  plan.decide(put("firstWins"));
  const before = plan.rows.length;
  expect(() => plan.decide(put("firstWins", "x", long))).toThrow("640 bytes");
  expect(plan.rows.length).toBe(before);
});

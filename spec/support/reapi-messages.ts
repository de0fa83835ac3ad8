import protobuf from "protobufjs";

/** The part of `remote_execution.proto` (version 2) that names blobs, for protobufjs: a second reader and writer. */
const source = `
syntax = "proto3";
message Digest { string hash = 1; int64 size_bytes = 2; }
message NodeProperties { string mtime = 2; uint32 unix_mode = 3; }
message OutputFile {
  string path = 1; Digest digest = 2; bool is_executable = 4; bytes contents = 5; NodeProperties node_properties = 7;
}
message OutputDirectory {
  string path = 1; Digest tree_digest = 3; bool is_topologically_sorted = 4; Digest root_directory_digest = 5;
}
message OutputSymlink { string path = 1; string target = 2; }
message ExecutedActionMetadata { string worker = 1; }
message ActionResult {
  repeated OutputFile output_files = 2;
  repeated OutputDirectory output_directories = 3;
  int32 exit_code = 4;
  bytes stdout_raw = 5;
  Digest stdout_digest = 6;
  bytes stderr_raw = 7;
  Digest stderr_digest = 8;
  ExecutedActionMetadata execution_metadata = 9;
  repeated OutputSymlink output_file_symlinks = 10;
  repeated OutputSymlink output_directory_symlinks = 11;
  repeated OutputSymlink output_symlinks = 12;
}
message FileNode { string name = 1; Digest digest = 2; bool is_executable = 4; NodeProperties node_properties = 6; }
message DirectoryNode { string name = 1; Digest digest = 2; }
message SymlinkNode { string name = 1; string target = 2; }
message Directory {
  repeated FileNode files = 1; repeated DirectoryNode directories = 2; repeated SymlinkNode symlinks = 3;
  NodeProperties node_properties = 5;
}
message Tree { Directory root = 1; repeated Directory children = 2; }
`;

const { root } = protobuf.parse(source, { keepCase: false });

export type DigestMessage = { readonly hash: string; readonly sizeBytes: number };

export type ActionResultMessage = {
  readonly outputFiles?: readonly {
    readonly path?: string;
    readonly digest?: DigestMessage;
    readonly isExecutable?: boolean;
    readonly contents?: Uint8Array;
  }[];
  readonly outputDirectories?: readonly {
    readonly path?: string;
    readonly treeDigest?: DigestMessage;
    readonly rootDirectoryDigest?: DigestMessage;
  }[];
  readonly exitCode?: number;
  readonly stdoutRaw?: Uint8Array;
  readonly stdoutDigest?: DigestMessage;
  readonly stderrRaw?: Uint8Array;
  readonly stderrDigest?: DigestMessage;
  readonly executionMetadata?: { readonly worker: string };
  readonly outputFileSymlinks?: readonly { readonly path: string; readonly target: string }[];
  readonly outputDirectorySymlinks?: readonly { readonly path: string; readonly target: string }[];
  readonly outputSymlinks?: readonly { readonly path: string; readonly target: string }[];
};

export type DirectoryMessage = {
  readonly files?: readonly { readonly name: string; readonly digest?: DigestMessage }[];
  readonly directories?: readonly { readonly name: string; readonly digest: DigestMessage }[];
  readonly symlinks?: readonly { readonly name: string; readonly target: string }[];
};

export type TreeMessage = {
  readonly root?: DirectoryMessage;
  readonly children?: readonly DirectoryMessage[];
};

export function encodeActionResult(message: ActionResultMessage): Uint8Array {
  return encode("ActionResult", message);
}

export function encodeTree(message: TreeMessage): Uint8Array {
  return encode("Tree", message);
}

/** What protobufjs reads; throws on bytes that it cannot read. */
export function decodeActionResult(bytes: Uint8Array): ActionResultMessage {
  return decode("ActionResult", bytes) as ActionResultMessage;
}

export function decodeTree(bytes: Uint8Array): TreeMessage {
  return decode("Tree", bytes) as TreeMessage;
}

function encode(name: string, message: object): Uint8Array {
  const type = root.lookupType(name);
  return new Uint8Array(type.encode(type.fromObject(message)).finish());
}

function decode(name: string, bytes: Uint8Array): unknown {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: Number });
}

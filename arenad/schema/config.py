"""The configuration file as types; `etc/arenad.yaml` shows every field, its default and meaning.

Sizes are bytes, times are seconds. Constraints stand in the types and are checked on load, which
also words them for the operator: a type that numbers do not explain has a description.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from arenad.schema.base import MediaType, Record
from arenad.schema.chat import Target
from arenad.schema.engine import Engine

Seconds = Annotated[float, Meta(gt=0, le=7 * 24 * 3600)]
"""A week at most: epoll and uvloop count milliseconds in 32 bits and know no infinity."""

Rate = Annotated[float, Meta(gt=0, le=10_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Few = Annotated[int, Meta(ge=1, le=64)]
FewOrNone = Annotated[int, Meta(ge=0, le=64)]
SecondsOrOff = Annotated[float, Meta(ge=0, le=366 * 24 * 3600)]
PerMinute = Annotated[int, Meta(ge=0, le=60_000)]
Window = Annotated[float, Meta(gt=0, le=3600)]
Bytes = Annotated[int, Meta(ge=0, le=2**50)]
FileBytes = Annotated[int, Meta(ge=1024 * 1024, le=2**50)]
Days = Annotated[int, Meta(ge=1, le=3660)]
PercentOrNone = Annotated[float, Meta(ge=0, le=100)]
Percent = Annotated[float, Meta(gt=0, le=100)]
CpuPercent = Annotated[int, Meta(ge=0, le=6400)]
"""Of one processor: 150 is one and a half."""

BodyBytes = Annotated[int, Meta(ge=1, le=48 * 1024 * 1024)]
"""A body has to fit into one frame (`wire.MAX_FRAME_BYTES`) with all that is put around it."""

Address = Annotated[
    str,
    Meta(
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s\[\]]+):[0-9]{1,5}\Z",
        description="host:port such as 127.0.0.1:5102",
    ),
]
Url = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^\s/]+\S*)?\Z",
        description="an address that begins with http:// or https://, or empty",
    ),
]
MediaBytes = Annotated[int, Meta(ge=1, le=40 * 1024 * 1024)]
"""The files of a request cross to a worker in one frame, and so does an image of its answer."""

HeaderBytes = Annotated[int, Meta(ge=1024, le=1024 * 1024)]
Messages = Annotated[int, Meta(ge=1, le=10_000)]
Origin = Annotated[
    str,
    Meta(
        pattern=r"^(\*|https?://[^\s/?#]+)\Z",
        description="an origin such as https://chat.example, without a path, or * for any",
    ),
]
ImageFormat = Literal["url", "data", "file"]
LogLevel = Literal["debug", "info", "warning", "error"]


class DaemonConfig(Record):
    """The daemon as a whole."""

    user: str = ""
    runtime_dir: str = ""
    state_dir: str = ""
    log_level: LogLevel = "info"


class FleetConfig(Record):
    """How many instances there are, and how they are started and stopped."""

    instances: Count = 2
    max_instances: Positive = 32
    spares: FewOrNone = 0
    memory_budget_bytes: Bytes = 0
    start_parallel: Few = 4
    drain_timeout_s: Seconds = 60.0


class AutoscaleConfig(Record):
    """How the number of instances follows the load."""

    enabled: bool = False
    min: Positive = 1
    max: Count = 0
    utilisation_percent: Percent = 70.0
    hysteresis_percent: PercentOrNone = 15.0
    window_s: Window = 30.0
    queue_wait_s: Seconds = 2.0
    up_cooldown_s: Seconds = 10.0
    down_cooldown_s: Seconds = 120.0
    hold_s: Seconds = 300.0
    cpu_veto_percent: Percent = 90.0
    memory_veto_bytes: Bytes = 512 * 1024 * 1024


class RecycleConfig(Record):
    """When an instance that is well is replaced by a fresh one; 0 is never."""

    age_s: SecondsOrOff = 0.0
    requests: Count = 0
    memory_bytes: Bytes = 0
    descriptors: Count = 0
    idle_cpu_percent: CpuPercent = 0
    jitter_percent: PercentOrNone = 20.0


class LimitsConfig(Record):
    """What one instance may take at most, held by the kernel where it can be; 0 is no limit."""

    memory_max_bytes: Bytes = 0
    cpu_percent: CpuPercent = 0
    tasks: Count = 0
    required: bool = False


class LifeConfig(Record):
    """Deadlines and restart rules of every child process."""

    start_timeout_s: Seconds = 60.0
    stop_timeout_s: Seconds = 5.0
    backoff_first_s: Seconds = 0.1
    backoff_limit_s: Seconds = 30.0
    deaths: Positive = 5
    deaths_window_s: Seconds = 60.0
    failed_retry_s: Seconds = 60.0


class HealthConfig(Record):
    """Probes of a browser and its page; the silence of a process."""

    interval_s: Seconds = 10.0
    probe_s: Seconds = 1.5
    timeout_s: Seconds = 3.0
    silent_s: Seconds = 1.8
    hung_s: Seconds = 4.0


class HistoryConfig(Record):
    """What the recorder keeps of the past, and for how long."""

    enabled: bool = True
    keep_days: Days = 30
    max_bytes: FileBytes = 256 * 1024 * 1024
    sample_s: Seconds = 60.0


class ApiConfig(Record):
    """The OpenAI-compatible endpoint."""

    listen: Address = "127.0.0.1:5102"
    cors_origins: tuple[Origin, ...] = ()
    max_body_bytes: BodyBytes = 32 * 1024 * 1024
    idempotency_keep_s: SecondsOrOff = 600.0
    body_timeout_s: Seconds = 60.0
    max_header_bytes: HeaderBytes = 16 * 1024
    head_timeout_s: Seconds = 20.0
    max_messages: Messages = 10_000
    max_connections: Positive = 4096
    emulate: bool = False


class GuiConfig(Record):
    """The dashboard."""

    listen: Address = "127.0.0.1:5104"


class FrontendConfig(Record):
    """Frontend processes: they accept HTTP, queue and balance."""

    processes: Few = 1


Balancing = Literal["least_busy", "round_robin", "response_time"]


class QueueConfig(Record):
    """Requests that wait for a free slot, in each frontend, and which of several they are given."""

    limit: Positive = 256
    wait_s: Seconds = 60.0
    conversation_wait_s: SecondsOrOff = 3.0
    wait_for_person_s: SecondsOrOff = 0.0
    strategy: Balancing = "least_busy"


class ChatConfig(Record):
    """Deadlines of one chat, and how often it may be asked of another instance."""

    attempts: Few = 3
    first_event_timeout_s: Seconds = 60.0
    idle_timeout_s: Seconds = 60.0
    total_timeout_s: Seconds = 900.0
    keepalive_s: Seconds = 10.0


class BreakerConfig(Record):
    """After which failures an instance, or all on one way to a site, are asked last; 0 is never."""

    failures: Count = 3
    egress_failures: FewOrNone = 2
    open_s: Seconds = 5.0
    open_limit_s: Seconds = 60.0


class FilesConfig(Record):
    """Files of messages, and the images of answers."""

    max_bytes: MediaBytes = 10 * 1024 * 1024
    max_count: Few = 10
    max_total_bytes: MediaBytes = 20 * 1024 * 1024
    types: tuple[MediaType, ...] = (
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "text/*",
    )
    fetch_urls: bool = False
    fetch_private: bool = False
    fetch_timeout_s: Seconds = 10.0
    image_format: ImageFormat = "url"
    keep_s: Seconds = 3600.0
    keep_count: Positive = 100
    keep_bytes: FileBytes = 64 * 1024 * 1024


class BrowserConfig(Record):
    """The browser of each instance."""

    engine: Engine = "chromium"
    path: str = ""
    headless: bool = True
    pace_frames: bool = True
    allow_no_sandbox: bool = False
    start_timeout_s: Seconds = 30.0
    args: tuple[str, ...] = ()


class SessionConfig(Record):
    """When an instance begins a fresh session, in the same browser; 0 is never.

    With `save` each instance's login outlives it, in the state folder.
    """

    save: bool = False
    max_age_s: SecondsOrOff = 0.0
    max_requests: Count = 0
    jitter_percent: PercentOrNone = 20.0


class SiteConfig(Record):
    """The chat site that instances open."""

    profile: str = "demo"
    url: Url = ""
    key_from: str = ""
    profiles_dir: str = ""
    terms_accepted: bool = False
    pace: PerMinute = 0
    spacing_s: SecondsOrOff = 0.0
    spacing_jitter_percent: PercentOrNone = 20.0
    battle_target: Target = "both"


ProxyUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?|socks5)://(\[[0-9a-fA-F:]+\]|[^\s/:@\[\]]+):[0-9]{1,5}\Z",
        description="http://HOST:PORT, https:// or socks5://, without credentials",
    ),
]


class ProxyConfig(Record):
    """A proxy; its password is never in the file, only the place where it stands."""

    url: ProxyUrl
    user: str = ""
    password_from: str = ""


class EgressConfig(Record):
    """The ways on which pages reach their site; without proxies it is the machine's own."""

    proxies: dict[str, ProxyConfig] = field(default_factory=dict)
    assign: Literal["per_instance", "manual", "per_request"] = "per_instance"
    instances: dict[str, str] = field(default_factory=dict)
    on_failure: Literal["next", "rest"] = "rest"
    fallback_to_direct: bool = False
    check_url: Url = ""
    check_interval_s: Seconds = 60.0
    rotation_interval_s: SecondsOrOff = 0.0


TemplateName = Annotated[
    str,
    Meta(
        pattern=r"^(?!(frontend|w)\Z)[a-z][a-z_]{0,19}\Z",
        description="up to 20 small letters and _, other than frontend and w",
    ),
]


class TemplateConfig(Record):
    """Instances on another site, beside those on `site`, named `NAME-1`, `NAME-2` and so on."""

    name: TemplateName
    site: SiteConfig
    instances: Count = 1
    browser: BrowserConfig | None = None


class DemoConfig(Record):
    """The built-in demo arena; it runs while the site's profile is `demo` and no url is given."""

    listen: Address = "127.0.0.1:5105"
    chunks_per_s: Rate = 20.0
    upstream_url: Url = ""
    upstream_model: str = ""
    upstream_key_file: str = ""


class Config(Record):
    """The whole file."""

    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    autoscale: AutoscaleConfig = field(default_factory=AutoscaleConfig)
    recycle: RecycleConfig = field(default_factory=RecycleConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    life: LifeConfig = field(default_factory=LifeConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    gui: GuiConfig = field(default_factory=GuiConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    chat: ChatConfig = field(default_factory=ChatConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    files: FilesConfig = field(default_factory=FilesConfig)
    browser: BrowserConfig = field(default_factory=BrowserConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    egress: EgressConfig = field(default_factory=EgressConfig)
    site: SiteConfig = field(default_factory=SiteConfig)
    instance_templates: tuple[TemplateConfig, ...] = ()
    demo: DemoConfig = field(default_factory=DemoConfig)

"""What whoever started a run can mend: such an error is one line, on the terminal and in the Prefect UI."""

from flows.run.api import PrefectUnavailable
from flows.settings_file import ConfigError
from storage import MissingDataset, StorageError
from tasks.faults import describe
from tasks.models.chat import BudgetExhausted, ChatUnavailable
from tasks.train.process import TrainingFailed

MENDABLE = (
    BudgetExhausted,
    ChatUnavailable,
    ConfigError,
    MissingDataset,
    OSError,
    PrefectUnavailable,
    StorageError,
    TrainingFailed,
    ValueError,
)


def say(error: BaseException) -> str:
    """Say an error without its type, as its own text has it."""
    return describe(error) if isinstance(error, OSError) else str(error)
